import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import type { ClusterAccess } from "./cluster-access.ts";
import { waysTo } from "./reach.ts";

const tunnel = async () => new PassThrough();
const hosted: ClusterAccess = { spec: {}, outsideHost: undefined, ca: "our CA" };
const names = (ways: ReturnType<typeof waysTo>) => ways.map((way) => way.name);

test("the user's URL is the only way", () => {
  const ways = waysTo({ url: "https://registry.example.com" }, { ...hosted, outsideHost: "192.0.2.1:31113" }, tunnel);
  assert.deepEqual(names(ways), ["https://registry.example.com"]);
});

test("an exposed address is tried before the tunnel, with the system's trust added to ours", () => {
  const ways = waysTo({}, { ...hosted, outsideHost: "192.0.2.1:31113" }, tunnel);
  assert.deepEqual(names(ways), ["https://192.0.2.1:31113", "port-forward"]);
  assert.ok((ways[0]?.ca?.length ?? 0) > 1_000 && ways[0]?.ca?.startsWith("our CA"));
  assert.equal(ways[1]?.ca, "our CA");
  assert.equal(ways[1]?.address, undefined);
});

test("the address of a tunnel that somebody else may have open is not tried", () => {
  assert.deepEqual(names(waysTo({}, { ...hosted, outsideHost: "localhost:5443" }, tunnel)), ["port-forward"]);
});

test("an external registry is reached at its URL and nowhere else", () => {
  const spec = { external: { url: "https://registry.example.com:8443/" } };
  assert.deepEqual(names(waysTo({}, { ...hosted, spec }, tunnel)), ["https://registry.example.com:8443"]);
});
