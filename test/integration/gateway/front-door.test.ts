import assert from "node:assert/strict";
import { request } from "node:https";
import { after, before, describe, test } from "node:test";
import { systemNamespace, tokenSigningSecretName } from "../../../src/config/names.ts";
import {
  adminLogin,
  type Certificates,
  findDistribution,
  issueCertificates,
  namespaceObject,
  startGateway,
  startStore,
  type TestGateway,
} from "./harness.ts";
import {
  createRegistryClient,
  digestOf,
  manifestType,
  pullLogin,
  pushImage,
  pushLogin,
  type RegistryClient,
} from "./registry-client.ts";

const program = await findDistribution();
const skip = program === undefined ? "no program `registry` (CNCF Distribution 3.1) on PATH" : false;

describe("the gateway in front of the real Distribution", { skip }, () => {
  let certificates: Certificates;
  let store: Awaited<ReturnType<typeof startStore>>;
  let gateway: TestGateway;
  let client: RegistryClient;

  before(async () => {
    certificates = await issueCertificates();
    store = await startStore(program ?? "", certificates.tokenCa);
    gateway = await startGateway({ distributionUrl: store.url, certificates });
    client = createRegistryClient(gateway);
  });
  after(async () => {
    client.close();
    await gateway.stop();
    await store.stop();
  });
  const bearer = async (login: Parameters<RegistryClient["token"]>[0], ...scopes: string[]) => ({
    authorization: `Bearer ${await client.token(login, ...scopes)}`,
  });
  const pull = async (login: Parameters<RegistryClient["token"]>[0], repository: string, reference: string) =>
    client.ask("GET", `/v2/${repository}/manifests/${reference}`, {
      headers: { ...(await bearer(login, `repository:${repository}:pull`)), accept: manifestType },
    });

  test("a namespace pulls its own image by tag and by digest, and its blobs", async () => {
    const image = await pushImage(client, pushLogin("team-a", "uid-a"), { repository: "team-a/app", tag: "v1" });
    assert.equal(image.status, 201);
    const login = pullLogin("team-a", "uid-a");
    assert.equal((await pull(login, "team-a/app", "v1")).status, 200);
    assert.equal((await pull(login, "team-a/app", image.manifest)).status, 200);
    const headers = await bearer(login, "repository:team-a/app:pull");
    const blob = await client.ask("GET", `/v2/team-a/app/blobs/${image.layer}`, { headers });
    assert.equal(blob.body.toString(), "layer");
    const range = await client.ask("GET", `/v2/team-a/app/blobs/${image.layer}`, {
      headers: { ...headers, range: "bytes=1-2" },
    });
    assert.deepEqual([range.status, range.body.toString()], [206, "ay"]);
  });

  test("another namespace is refused by tag and by digest, alike for what exists and what does not", async () => {
    const image = await pushImage(client, pushLogin("team-a", "uid-a"), { repository: "team-a/secret", tag: "v1" });
    const login = pullLogin("team-b", "uid-b");
    const refusals = [
      await pull(login, "team-a/secret", "v1"),
      await pull(login, "team-a/secret", image.manifest),
      await pull(login, "team-a/nothing", "v1"),
    ];
    const shape = (answer: (typeof refusals)[number]) => ({
      status: answer.status,
      body: answer.body.toString().replaceAll("team-a/nothing", "team-a/secret"),
      challenge: answer.headers["www-authenticate"]?.replaceAll("team-a/nothing", "team-a/secret"),
    });
    assert.deepEqual(shape(refusals[1] ?? assert.fail()), shape(refusals[0] ?? assert.fail()));
    assert.deepEqual(shape(refusals[2] ?? assert.fail()), shape(refusals[0] ?? assert.fail()));
    assert.equal(refusals[0]?.status, 401);
    assert.match(refusals[0]?.headers["www-authenticate"] ?? "", /error="insufficient_scope"/);
    const headers = await bearer(login, "repository:team-a/secret:pull");
    assert.equal((await client.ask("GET", `/v2/team-a/secret/blobs/${image.layer}`, { headers })).status, 401);
  });

  test("our refusals are worded as Distribution words its own", async () => {
    const paths = ["/v2/", "/v2/team-a/app/manifests/v1", "/v2/_catalog"];
    for (const path of paths) {
      const ours = await client.ask("GET", path);
      const theirs = await fetch(`${store.url}${path}`, {
        headers: { host: new URL(gateway.url).host, "x-forwarded-proto": "https" },
      });
      assert.equal(ours.status, theirs.status);
      assert.deepEqual(JSON.parse(ours.body.toString()), await theirs.json());
      const realm = (text: string | null | undefined) => (text ?? "").replace(/realm="[^"]*"/, "");
      assert.equal(realm(ours.headers["www-authenticate"]), realm(theirs.headers.get("www-authenticate")));
      assert.match(ours.headers["www-authenticate"] ?? "", new RegExp(`realm="${gateway.url}/auth/token"`));
    }
  });

  test("/v2/ is 200 for every valid identity", async () => {
    for (const login of [pullLogin("team-b", "uid-b"), adminLogin]) {
      assert.equal((await client.ask("GET", "/v2/", { headers: await bearer(login) })).status, 200);
    }
  });

  test("a scheme in any case, with any number of spaces, is the same login", async () => {
    const { authorization } = await bearer(adminLogin, "repository:team-a/app:pull");
    const [, token] = authorization.split(" ");
    for (const scheme of ["bearer ", "BEARER ", "Bearer   "]) {
      const headers = { authorization: `${scheme}${token}  ` };
      assert.equal((await client.ask("GET", "/v2/", { headers })).status, 200, scheme);
    }
  });

  test("HEAD of what there is not says nothing of a length that GET does not have", async () => {
    const headers = await bearer(adminLogin, "repository:team-a/app:pull");
    for (const path of ["manifests/nope", `blobs/${digestOf("nope")}`]) {
      const head = await client.ask("HEAD", `/v2/team-a/app/${path}`, { headers });
      const got = await client.ask("GET", `/v2/team-a/app/${path}`, { headers });
      assert.deepEqual([head.status, got.status], [404, 404]);
      assert.ok([undefined, got.headers["content-length"]].includes(head.headers["content-length"]), path);
    }
  });

  test("a blob is uploaded in chunks, with Locations that lead back through the gateway", async () => {
    const headers = await bearer(pushLogin("team-a", "uid-a"), "repository:team-a/chunks:pull,push");
    const host = { host: "registry.slipway-system.svc:8443" };
    const begun = await client.ask("POST", "/v2/team-a/chunks/blobs/uploads/", { headers: { ...headers, ...host } });
    let location = new URL(begun.headers.location ?? "");
    assert.equal(location.origin, "https://registry.slipway-system.svc:8443");
    const chunks = [Buffer.alloc(3_000_000, 1), Buffer.alloc(2_000_000, 2)];
    let start = 0;
    for (const chunk of chunks) {
      const range = { "content-range": `${start}-${start + chunk.length - 1}`, "content-length": chunk.length };
      const type = { "content-type": "application/octet-stream" };
      const path = `${location.pathname}${location.search}`;
      const sent = await client.ask("PATCH", path, { headers: { ...headers, ...range, ...type }, body: chunk });
      assert.equal(sent.status, 202);
      location = new URL(sent.headers.location ?? "");
      start += chunk.length;
    }
    const digest = digestOf(Buffer.concat(chunks));
    location.searchParams.set("digest", digest);
    const ended = await client.ask("PUT", `${location.pathname}${location.search}`, { headers });
    assert.equal(ended.status, 201);
    const blob = await client.ask("GET", `/v2/team-a/chunks/blobs/${digest}`, { headers });
    assert.equal(digestOf(blob.body), digest);
  });

  test("a digest that does not match the content is 400", async () => {
    const headers = await bearer(pushLogin("team-a", "uid-a"), "repository:team-a/bad:pull,push");
    const begun = await client.ask("POST", "/v2/team-a/bad/blobs/uploads/", { headers });
    const location = new URL(begun.headers.location ?? "");
    location.searchParams.set("digest", digestOf("something else"));
    const put = await client.ask("PUT", `${location.pathname}${location.search}`, { headers, body: "content" });
    assert.equal(put.status, 400);
    assert.match(put.body.toString(), /DIGEST_INVALID/);
  });

  test("a namespace that opts out loses the tokens that it was given", async (t) => {
    await pushImage(client, adminLogin, { repository: "team-c/app", tag: "v1" });
    gateway.namespaces.set("team-c", namespaceObject("team-c", "uid-c"));
    t.after(() => gateway.namespaces.delete("team-c"));
    const headers = await bearer(pullLogin("team-c", "uid-c"), "repository:team-c/app:pull");
    const ask = () =>
      client.ask("GET", "/v2/team-c/app/manifests/v1", { headers: { ...headers, accept: manifestType } });
    assert.equal((await ask()).status, 200);
    gateway.namespaces.set("team-c", namespaceObject("team-c", "uid-c", { "slipway.dev/inject": "disabled" }));
    assert.equal((await ask()).status, 401);
    gateway.namespaces.set("team-c", namespaceObject("team-c", "uid-other"));
    assert.equal((await ask()).status, 401, "a re-created namespace does not accept its predecessor's tokens");
    await assert.rejects(client.token(pullLogin("team-c", "uid-c")), /401/);
  });

  test("a namespace that no longer asks for a push login loses it, and its tokens, and pulls on", async (t) => {
    const asking = namespaceObject("team-c", "uid-c");
    gateway.namespaces.set("team-c", asking);
    t.after(() => gateway.namespaces.delete("team-c"));
    const login = pushLogin("team-c", "uid-c");
    assert.equal((await pushImage(client, login, { repository: "team-c/app", tag: "v1" })).status, 201);
    const headers = await bearer(login, "repository:team-c/app:pull,push");
    gateway.namespaces.set("team-c", { metadata: { ...asking.metadata, annotations: {} } });
    assert.equal((await client.ask("POST", "/v2/team-c/app/blobs/uploads/", { headers })).status, 401);
    await assert.rejects(client.token(login), /401/);
    assert.equal((await pull(pullLogin("team-c", "uid-c"), "team-c/app", "v1")).status, 200);
  });

  test("the catalogue shows to each what it may pull, in pages cut after filtering", async () => {
    for (const name of ["one", "two", "three"]) {
      await pushImage(client, adminLogin, { repository: `team-a/list-${name}`, tag: "v1" });
      await pushImage(client, adminLogin, { repository: `team-b/list-${name}`, tag: "v1" });
    }
    const headers = await bearer(pullLogin("team-b", "uid-b"), "registry:catalog:*");
    const seen: string[] = [];
    let path: string | undefined = "/v2/_catalog?n=2";
    while (path !== undefined) {
      const page = await client.ask("GET", path, { headers });
      const { repositories } = JSON.parse(page.body.toString()) as { repositories: string[] };
      assert.ok(repositories.length > 0 && repositories.length <= 2);
      seen.push(...repositories);
      path = /<([^>]+)>/.exec([page.headers.link].flat()[0] ?? "")?.[1];
    }
    assert.ok(seen.length >= 3);
    assert.ok(seen.every((repository) => repository.startsWith("team-b/")));
    assert.equal(new Set(seen).size, seen.length);
    assert.equal((await client.ask("GET", "/v2/_catalog?n=1001", { headers })).status, 400);
  });

  test("what is no manifest is 400 before Distribution sees it", async () => {
    const headers = {
      ...(await bearer(adminLogin, "repository:team-a/shape:pull,push")),
      "content-type": manifestType,
    };
    for (const body of ["null", '{"schemaVersion":1}', "[]", "{", ""]) {
      const put = await client.ask("PUT", "/v2/team-a/shape/manifests/v1", { headers, body });
      assert.equal(put.status, 400, body);
      assert.match(put.body.toString(), /MANIFEST_INVALID/);
    }
    const large = Buffer.alloc(5 * 1024 * 1024, 32);
    assert.equal((await client.ask("PUT", "/v2/team-a/shape/manifests/v1", { headers, body: large })).status, 413);
  });

  test("read-only refuses writes with 405 and serves reads", async (t) => {
    await pushImage(client, adminLogin, { repository: "team-a/readonly", tag: "v1" });
    gateway.localRegistries.set("default", {
      metadata: { name: "default" },
      spec: { maintenance: { readOnly: true } },
    });
    t.after(() => gateway.localRegistries.delete("default"));
    const headers = await bearer(adminLogin, "repository:team-a/readonly:pull,push,delete");
    assert.equal((await client.ask("POST", "/v2/team-a/readonly/blobs/uploads/", { headers })).status, 405);
    assert.equal((await client.ask("DELETE", "/v2/team-a/readonly/manifests/v1", { headers })).status, 405);
    assert.equal((await pull(adminLogin, "team-a/readonly", "v1")).status, 200);
  });

  test("a new leaf of the token CA is used at once, without a restart, and tokens of the old one stay good", async (t) => {
    const secretKey = `${systemNamespace}/${tokenSigningSecretName}`;
    const before = gateway.secrets.get(secretKey) ?? assert.fail();
    t.after(() => gateway.secrets.set(secretKey, before));
    await pushImage(client, adminLogin, { repository: "team-a/leaf", tag: "v1" });
    const leafOf = (token: string) => Buffer.from(token.split(".")[0] ?? "", "base64url").toString();
    const scope = "repository:team-a/leaf:pull";
    const old = await client.token(adminLogin, scope);
    gateway.secrets.set(secretKey, await certificates.renewSigning());
    const renewed = await client.token(adminLogin, scope);
    assert.notEqual(leafOf(renewed), leafOf(old));
    for (const token of [old, renewed]) {
      const headers = { authorization: `Bearer ${token}`, accept: manifestType };
      assert.equal((await client.ask("GET", "/v2/team-a/leaf/manifests/v1", { headers })).status, 200);
    }
  });

  test("an upload that breaks off before its answer is 499 in audit lines and metrics, not 200", async () => {
    const headers = await bearer(adminLogin, "repository:team-a/app:pull,push");
    const begun = await client.ask("POST", "/v2/team-a/app/blobs/uploads/", { headers });
    const { hostname, port, pathname, search } = new URL(begun.headers.location ?? assert.fail());
    const options = { hostname, port, path: `${pathname}${search}`, method: "PATCH", ca: gateway.ca, agent: false };
    const cut = request({ ...options, headers: { ...headers, "content-length": 1_000_000 } });
    cut.once("error", () => undefined);
    cut.write("half", () => cut.destroy());
    const isCounted = () => gateway.lines.some((line) => /"action":"push_upload".*"status":499/.test(line));
    while (!isCounted()) await new Promise((resolve) => setImmediate(resolve));
    assert.match(await gateway.metrics.metrics(), /requests_total{action="push_upload",status="499"} 1\n/);
  });

  test("audit lines and logs hold no password and no token", async () => {
    const login = pullLogin("team-a", "uid-a");
    const token = await client.token(login, "repository:team-a/app:pull");
    const text = gateway.lines.join("");
    assert.match(text, /"identity":"namespace:pull:team-a:uid-a"/);
    for (const secret of [login.password, adminLogin.password, token]) assert.ok(!text.includes(secret));
  });
});
