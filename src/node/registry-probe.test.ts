import assert from "node:assert/strict";
import type { RequestListener } from "node:http";
import { describe, type TestContext, test } from "node:test";
import { challenge, startPlainEndpoint, startRegistryEndpoint } from "../../test/fake/registry-endpoint.ts";
import { probeRegistry } from "./registry-probe.ts";

const signal = new AbortController().signal;

async function endpoint(
  t: TestContext,
  listener: RequestListener = challenge,
  names?: readonly string[],
  authority = 1,
) {
  const started = await startRegistryEndpoint(listener, names, authority);
  t.after(started.close);
  return started;
}

const answer =
  (status: number, headers: Readonly<Record<string, string>> = {}): RequestListener =>
  (_request, response) => {
    response.writeHead(status, headers).end();
  };
const version = { "docker-distribution-api-version": "registry/2.0" };

describe("what answers at the registry's address", () => {
  test("is the registry: 401 with a Bearer challenge and the API version", async (t) => {
    const { url, ca } = await endpoint(t);
    assert.equal(await probeRegistry({ url, ca, kind: "hosted" }, signal), undefined);
  });

  const cases: readonly { readonly name: string; readonly listener: RequestListener; readonly reason: string }[] = [
    { name: "200 is not a registry that asks for a login", listener: answer(200, version), reason: "NotARegistry" },
    {
      name: "401 without a version is not one",
      listener: answer(401, { "www-authenticate": "Bearer realm=x" }),
      reason: "NotARegistry",
    },
    {
      name: "401 with a Basic challenge is not the gateway",
      listener: answer(401, { ...version, "www-authenticate": "Basic realm=x" }),
      reason: "NotARegistry",
    },
    { name: "404 of some web server", listener: answer(404), reason: "NotARegistry" },
    { name: "407 is a proxy", listener: answer(407), reason: "Proxy" },
    { name: "an answer by way of a proxy", listener: answer(403, { via: "1.1 squid" }), reason: "Proxy" },
    { name: "503 of the gateway", listener: answer(503), reason: "Unavailable" },
    { name: "429 of the gateway", listener: answer(429), reason: "Unavailable" },
    {
      name: "a connection that breaks off",
      listener: (request) => void request.socket.destroy(),
      reason: "Unreachable",
    },
  ];
  for (const { name, listener, reason } of cases) {
    test(`${name}: ${reason}`, async (t) => {
      const { url, ca } = await endpoint(t, listener);
      assert.equal((await probeRegistry({ url, ca, kind: "hosted" }, signal))?.reason, reason);
    });
  }

  test("an external registry may be open or ask for a Basic login", async (t) => {
    for (const listener of [answer(200), answer(401, { "www-authenticate": "Basic realm=x" })]) {
      const { url, ca } = await endpoint(t, listener);
      assert.equal(await probeRegistry({ url, ca, kind: "external" }, signal), undefined);
    }
  });
  test("another CA is a wrong certificate", async (t) => {
    const { url } = await endpoint(t);
    const other = await endpoint(t, challenge, undefined, 2);
    const failure = await probeRegistry({ url, ca: other.ca, kind: "hosted" }, signal);
    assert.equal(failure?.reason, "WrongCertificate");
  });
  test("a certificate that does not name the address is wrong, as the runtime goes by address", async (t) => {
    const { url, ca } = await endpoint(t, challenge, ["registry.slipway-system.svc"]);
    assert.equal((await probeRegistry({ url, ca, kind: "hosted" }, signal))?.reason, "WrongCertificate");
    const serverName = "registry.slipway-system.svc";
    assert.equal(await probeRegistry({ url, ca, serverName, kind: "hosted" }, signal), undefined);
  });
  test("two CAs in one bundle, as while one rotates, are both trusted", async (t) => {
    const [one, two] = [await endpoint(t), await endpoint(t, challenge, undefined, 2)];
    for (const ca of [one.ca + two.ca, two.ca + one.ca]) {
      assert.equal(await probeRegistry({ url: one.url, ca, kind: "hosted" }, signal), undefined);
    }
  });
  test("nothing that listens is unreachable", async () => {
    const gone = await startRegistryEndpoint();
    await gone.close();
    const failure = await probeRegistry({ url: gone.url, ca: gone.ca, kind: "hosted" }, signal);
    assert.equal(failure?.reason, "Unreachable");
    assert.match(failure?.message ?? "", /ECONNREFUSED.*Service registry/);
  });
  test("plain HTTP where TLS should be is not a registry", async (t) => {
    const plain = await startPlainEndpoint(answer(200));
    t.after(plain.close);
    const failure = await probeRegistry({ url: `https://127.0.0.1:${plain.port}`, ca: null, kind: "hosted" }, signal);
    assert.equal(failure?.reason, "NotARegistry");
  });
  test("a name that the host does not know", async () => {
    const lookup = (_: string, __: object, callback: (error: NodeJS.ErrnoException, address: string) => void) =>
      callback(Object.assign(new Error("no such name"), { code: "ENOTFOUND" }), "");
    const failure = await probeRegistry(
      { url: "https://registry.example.com", ca: null, lookup, kind: "hosted" },
      signal,
    );
    assert.deepEqual(failure, { reason: "NameUnknown", message: "registry.example.com does not resolve on this node" });
  });
  test("a name server that is away is not the registry being away", async () => {
    const away = Object.assign(new Error("queryA ECONNREFUSED"), { code: "ECONNREFUSED", syscall: "queryA" });
    const lookup = (_: string, __: object, callback: (error: NodeJS.ErrnoException, address: string) => void) =>
      callback(away, "");
    const target = { url: "https://registry.example.com", ca: null, lookup, kind: "hosted" } as const;
    assert.equal((await probeRegistry(target, signal))?.reason, "NameLookupFailed");
  });
  test("an aborted look rejects with the signal's reason", async (t) => {
    const { url, ca } = await endpoint(t, () => {});
    const stop = new AbortController();
    const looking = probeRegistry({ url, ca, kind: "hosted" }, stop.signal);
    const reason = new Error("the agent stops");
    stop.abort(reason);
    await assert.rejects(looking, reason);
  });
});
