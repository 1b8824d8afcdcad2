import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { type TestContext, test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { type RegistryRoute, startFakeRegistry } from "../../test/fake/registry.ts";
import { systemClock } from "../clock.ts";
import { SlipwayError } from "../errors.ts";
import { certificateNames } from "../tls/certificate.ts";
import { issueAuthority, issueLeaf } from "../tls/issue.ts";
import type { ClusterAccess } from "./cluster-access.ts";
import { reachRegistry, waysTo } from "./reach.ts";

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

const ping = "GET /v2/";

/** Reaches a registry that answers so, with a quarter of a minute of patience. */
async function reachFake(t: TestContext, routes: readonly RegistryRoute[]) {
  const registry = await startFakeRegistry(routes);
  t.after(() => registry.close());
  const clock = createManualClock();
  const options = { url: registry.url, ca: registry.ca, login: { username: "admin", password: "secret" } };
  const reaching = reachRegistry(
    { options, cluster: undefined, patienceMs: 15_000, clock, random: () => 0 },
    AbortSignal.timeout(60_000),
  );
  t.after(() => reaching.then(({ client }) => client.close()).catch(() => {})); // judged by the test
  return { registry, clock, reaching };
}

test("a registry that is coming back is waited for", async (t) => {
  const { registry, clock, reaching } = await reachFake(t, [
    { on: ping, fault: "reset", times: 1 },
    { on: ping, status: 503, times: 1 },
    { on: ping, status: 200 },
  ]);
  for (let round = 0; round < 2; round++) {
    await clock.whenSleeping(1, 1_000);
    await clock.advance(1_000);
  }
  assert.equal((await reaching).address, new URL(registry.url).host);
});

test("one that stays away is given up in the end, with what was found", async (t) => {
  const { clock, reaching } = await reachFake(t, [{ on: ping, status: 503 }]);
  const refused = assert.rejects(reaching, (error: unknown) => {
    return error instanceof SlipwayError && error.code === "REGISTRY_UNREACHABLE" && /503/.test(error.message);
  });
  for (let second = 0; second < 15; second++) {
    await clock.whenSleeping(1, 1_000);
    await clock.advance(1_000);
  }
  await refused;
});

test("a refused login is told at once", async (t) => {
  const challenge = { "www-authenticate": 'Basic realm="registry"' };
  const { reaching } = await reachFake(t, [{ on: ping, status: 401, headers: challenge }]);
  await assert.rejects(reaching, /the login was refused/);
});

async function faultOf(t: TestContext, names: readonly string[], trusts: boolean): Promise<string> {
  const authority = await issueAuthority({ commonName: "CA", nowMs: Date.now() });
  const order = { authority, commonName: "registry", names: certificateNames(names), nowMs: Date.now() };
  const { certificate: cert, key } = await issueLeaf(order);
  const registry = await startFakeRegistry([{ on: ping, status: 200 }], { cert, key });
  t.after(() => registry.close());
  const login = { username: "admin", password: "secret" };
  const options = { url: registry.url, login, ...(trusts ? { ca: authority.certificate } : {}) };
  const needs = { options, cluster: undefined, patienceMs: 0, clock: systemClock, random: () => 0 };
  const outcome = await reachRegistry(needs, AbortSignal.timeout(60_000)).catch((error: unknown) => error);
  assert.ok(outcome instanceof SlipwayError && outcome.code === "REGISTRY_UNREACHABLE");
  return outcome.message;
}

test("a certificate that nobody trusted has signed: what to do is said, and nothing about flags of Node", async (t) => {
  const fault = await faultOf(t, ["127.0.0.1"], false);
  assert.match(fault, /give --ca-file/);
  assert.doesNotMatch(fault, /Node/);
});

test("a certificate for other names: what to do is said", async (t) => {
  assert.match(await faultOf(t, ["registry.example.com"], true), /extraNames/);
});
