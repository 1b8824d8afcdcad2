import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { type TestContext, test } from "node:test";
import { type FakeRegistry, type RegistryRoute, startFakeRegistry } from "../../test/fake/registry.ts";
import { systemClock } from "../clock.ts";
import type { Login } from "../credential/login.ts";
import { createRegistryClient, type RegistryClient } from "./client.ts";

const signal = AbortSignal.timeout(60_000);
const digest = `sha256:${"a".repeat(64)}`;
const login = { username: "admin", password: "secret" };
const basic = `Basic ${Buffer.from("admin:secret").toString("base64")}`;

async function open(
  t: TestContext,
  routes: readonly RegistryRoute[],
  logIn: () => Login | undefined = () => login,
): Promise<{ registry: FakeRegistry; client: RegistryClient }> {
  const registry = await startFakeRegistry(routes);
  const client = createRegistryClient({
    origin: registry.url,
    ca: () => registry.ca,
    login: logIn,
    clock: systemClock,
    random: () => 0,
  });
  t.after(async () => {
    client.close();
    await registry.close();
  });
  return { registry, client };
}

const challenge = (scope: string) => ({
  "www-authenticate": `Bearer realm="/auth/token",service="registry",scope="${scope}"`,
});
const manifest = "HEAD /v2/demo/app/manifests/1";
const found = { headers: { "docker-content-digest": digest, "content-type": "application/json" } };
const refusal = { status: 401, headers: challenge("repository:demo/app:pull") };

test("a Bearer challenge is answered with a token of the request's scope, which is used again", async (t) => {
  const { registry, client } = await open(t, [
    { on: manifest, authorization: "Bearer t1", ...found },
    { on: manifest, ...refusal },
    {
      on: "GET /auth/token?service=registry&scope=repository%3Ademo%2Fapp%3Apull",
      authorization: basic,
      body: '{"token":"t1","expires_in":300}',
    },
  ]);
  for (let round = 0; round < 2; round++) {
    assert.equal((await client.headManifest("demo/app", "1", signal))?.digest, digest);
  }
  assert.equal(registry.requests.filter((asked) => asked.startsWith("GET /auth/token")).length, 1);
});

test("a token that has ended is replaced once, a login that is refused is an error", async (t) => {
  const { client } = await open(t, [
    { on: manifest, authorization: "Bearer t1", ...found, times: 1 },
    { on: manifest, authorization: "Bearer t2", ...found, times: 1 },
    { on: manifest, ...refusal },
    { on: "GET /auth/token*", body: '{"token":"t1","expires_in":300}', times: 1 },
    { on: "GET /auth/token*", body: '{"access_token":"t2","expires_in":300}', times: 1 },
    { on: "GET /auth/token*", body: '{"token":"t3"}' },
  ]);
  assert.ok(await client.headManifest("demo/app", "1", signal));
  assert.ok(await client.headManifest("demo/app", "1", signal));
  await assert.rejects(client.headManifest("demo/app", "1", signal), { name: "RegistryError", status: 401 });
});

test("another password makes no use of the old one's tokens", async (t) => {
  let password = "secret";
  const routes: RegistryRoute[] = [
    { on: manifest, authorization: "Bearer new", ...found },
    { on: manifest, authorization: "Bearer old", ...found },
    { on: manifest, ...refusal },
    { on: "GET /auth/token*", authorization: basic, body: '{"token":"old","expires_in":300}' },
    { on: "GET /auth/token*", body: '{"token":"new","expires_in":300}' },
  ];
  const { registry, client } = await open(t, routes, () => ({ username: "admin", password }));
  await client.headManifest("demo/app", "1", signal);
  password = "changed";
  await client.headManifest("demo/app", "1", signal);
  assert.equal(registry.requests.filter((asked) => asked.startsWith("GET /auth/token")).length, 2);
});

test("the login never goes to another host without TLS", async (t) => {
  const header = { "www-authenticate": 'Bearer realm="http://registry.example.com/token"' };
  const { client } = await open(t, [{ on: "GET /v2/", status: 401, headers: header }]);
  await assert.rejects(client.ping(signal), { code: "REALM_REFUSED" });
});

test("an upload that is sent on to another host is refused", async (t) => {
  const location = "https://registry.example.com/v2/demo/app/blobs/uploads/1";
  const { client } = await open(t, [{ on: "POST /v2/demo/app/blobs/uploads/", status: 202, headers: { location } }]);
  const blob = { digest, size: 1, open: () => Readable.from([Buffer.from("x")]) };
  await assert.rejects(client.uploadBlob("demo/app", blob, { signal }), { code: "LOCATION_REFUSED" });
});

test("reading is repeated after a reset and after 429", async (t) => {
  const body = '{"name":"demo/app","tags":["1"]}';
  const faults: RegistryRoute[] = [
    { on: "GET /v2/demo/app/tags/list?n=500", fault: "reset", times: 1 },
    { on: "GET /v2/demo/app/tags/list?n=500", status: 429, headers: { "retry-after": "0" }, times: 1 },
    { on: "GET /v2/demo/app/tags/list?n=500", body },
  ];
  const { client } = await open(t, faults);
  const pages: (readonly string[])[] = [];
  for await (const page of client.tags("demo/app", signal)) pages.push(page);
  assert.deepEqual(pages, [["1"]]);
});

test("a half answer is an error without an answer's status", async (t) => {
  const body = '{"name":"demo/app","tags":["1"]}';
  const headers = { "content-length": String(body.length) };
  const { client } = await open(t, [{ on: "GET /v2/demo/app/tags/list?n=500", fault: "half-body", body, headers }]);
  await assert.rejects(
    async () => {
      for await (const page of client.tags("demo/app", signal)) assert.fail(page.join());
    },
    { status: 0, code: "BODY_BROKEN" },
  );
});

test("pages are followed by Link, null is an empty page, and a circle ends", async (t) => {
  const { client } = await open(t, [
    {
      on: "GET /v2/_catalog?n=500",
      body: '{"repositories":["a/b"]}',
      headers: { link: '</v2/_catalog?n=500&last=b>; rel="next"' },
    },
    {
      on: "GET /v2/_catalog?n=500&last=b",
      body: '{"repositories":null}',
      headers: { link: '</v2/_catalog?n=500>; rel="next"' },
    },
  ]);
  const pages: (readonly string[])[] = [];
  for await (const page of client.repositories(signal)) pages.push(page);
  assert.deepEqual(pages, [["a/b"], []]);
});

test("a manifest without a digest header is hashed", async (t) => {
  const { client } = await open(t, [
    { on: "HEAD /v2/demo/app/manifests/1" },
    { on: "GET /v2/demo/app/manifests/1", body: "{}" },
  ]);
  assert.equal(
    (await client.headManifest("demo/app", "1", signal))?.digest,
    "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
  );
});

test("a manifest that is not what its digest says is refused", async (t) => {
  const { client } = await open(t, [{ on: "GET /v2/demo/app/manifests/*", body: "{}" }]);
  await assert.rejects(client.getManifest("demo/app", digest, signal), { code: "DIGEST_INVALID" });
});

test("a certificate of another CA is no answer, and the message holds no secret", async (t) => {
  const { registry } = await open(t, []);
  const options = {
    origin: registry.url,
    ca: () => undefined,
    login: () => login,
    clock: systemClock,
    random: () => 0,
  };
  const stranger = createRegistryClient(options);
  await assert.rejects(stranger.ping(signal), (error: Error & { status: number }) => {
    assert.equal(error.status, 0);
    assert.doesNotMatch(`${error.message} ${String(error.cause)}`, /secret/);
    return true;
  });
});
