import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { ApiError } from "../../../src/cluster/api.ts";
import { registryUsersSecretName, systemNamespace } from "../../../src/config/names.ts";
import type { ResourceActions } from "../../../src/gateway/token-claims.ts";
import { createManualClock } from "../../fake/clock.ts";
import {
  adminLogin,
  type Certificates,
  issueCertificates,
  secretObject,
  startGateway,
  type TestGateway,
} from "./harness.ts";
import { startRecorder } from "./recorder.ts";
import { basic, createRegistryClient, pullLogin, type RegistryClient } from "./registry-client.ts";

let gateway: TestGateway;
let recorder: Awaited<ReturnType<typeof startRecorder>>;
let client: RegistryClient;
let certificates: Certificates;
let tokens = 0;

before(async () => {
  recorder = await startRecorder();
  certificates = await issueCertificates();
  gateway = await startGateway({ distributionUrl: recorder.url, certificates });
  client = createRegistryClient(gateway);
});
after(async () => {
  client.close();
  await gateway.stop();
  await recorder.stop();
});
afterEach(() => {
  gateway.allow = () => false;
});

function claimsOf(token: string): {
  readonly aud: unknown;
  readonly exp: number;
  readonly iat: number;
  readonly access: ResourceActions[];
} {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
}

/** The token of a ServiceAccount: unsigned, since the reviewer decides. A new one each time. */
function accountToken(account: string, audience = "slipway"): string {
  const claims = {
    sub: `system:serviceaccount:team-a:${account}`,
    aud: [audience],
    exp: Math.floor(Date.now() / 1_000) + 600,
    jti: tokens++,
  };
  return `${Buffer.from("{}").toString("base64url")}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;
}

function accept(token: string, account: string, audiences?: readonly string[]): void {
  acceptAt(gateway, token, account, audiences);
}

function acceptAt(at: TestGateway, token: string, account: string, audiences: readonly string[] = ["slipway"]): void {
  const username = `system:serviceaccount:team-a:${account}`;
  at.tokens.set(token, { kind: "authenticated", username, uid: "1", groups: [], extra: {}, audiences });
}

test("a token holds what of the asked scopes is granted, and asking for more is no error", async () => {
  const token = await client.token(
    pullLogin("team-a", "uid-a"),
    "repository:team-a/app:pull,push repository:team-b/app:pull",
    "repository:docker.io/library/nginx:pull",
  );
  const claims = claimsOf(token);
  assert.deepEqual(claims.access, [
    { type: "repository", name: "team-a/app", actions: ["pull"] },
    { type: "repository", name: "docker.io/library/nginx", actions: ["pull"] },
  ]);
  assert.equal(claims.aud, "slipway-registry");
  assert.equal(claims.exp - claims.iat, 300);
});

test("containerd's OAuth2 POST gets an access token", async () => {
  const { username, password } = pullLogin("team-a", "uid-a");
  const form = {
    grant_type: "password",
    service: "slipway-registry",
    client_id: "containerd-client",
    username,
    password,
  };
  const body = new URLSearchParams({ ...form, scope: "repository:team-a/app:pull" }).toString();
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const answer = await client.ask("POST", "/auth/token", { headers, body });
  assert.equal(answer.status, 200);
  const { access_token: token } = JSON.parse(answer.body.toString()) as { access_token: string };
  assert.equal(claimsOf(token).access.length, 1);
});

test("a token for 200 long scopes is still one that can be sent, also through a proxy with lines of 8 KiB", async () => {
  const { username, password } = adminLogin;
  const names = Array.from({ length: 200 }, (_, index) => `${"a".repeat(240)}/${index}`);
  const scopes = names.map((name) => ["scope", `repository:${name}:pull,push,delete`] as [string, string]);
  const login: [string, string][] = Object.entries({ grant_type: "password", username, password });
  const body = new URLSearchParams([...login, ...scopes]).toString();
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const answer = await client.ask("POST", "/auth/token", { headers, body });
  const { access_token: token } = JSON.parse(answer.body.toString()) as { access_token: string };
  assert.ok(token.length < 8_192 - "Authorization: Bearer ".length, `${token.length}`);
  const authorization = `Bearer ${token}`;
  const pulled = await client.ask("GET", `/v2/${names[0]}/tags/list`, { headers: { authorization } });
  assert.equal(pulled.status, 200);
});

const malformed = [
  { name: "no login", method: "GET", headers: {}, want: 401 },
  { name: "a login without a colon", method: "GET", headers: { authorization: "Basic YWJj" }, want: 401 },
  { name: "a login that is no base64", method: "GET", headers: { authorization: "Basic %%%" }, want: 401 },
  { name: "another scheme", method: "GET", headers: { authorization: "Digest x" }, want: 401 },
  { name: "a form of another type", method: "POST", headers: { "content-type": "text/plain" }, body: "x", want: 415 },
  {
    name: "a refresh token",
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: "grant_type=refresh_token&refresh_token=x",
    want: 401,
  },
  ...["grant_type=client_credentials", "grant_type=", "username=admin&password=admin-password"].map((body) => ({
    name: `a form of '${body}'`,
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body,
    want: 400,
  })),
  {
    name: "an endless form",
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: "x".repeat(100_000),
    want: 413,
  },
  { name: "another method", method: "PUT", headers: {}, want: 405 },
] as const;
for (const { name, method, headers, want, ...rest } of malformed) {
  test(`${name} at the token endpoint is ${want}`, async () => {
    const answer = await client.ask(method, "/auth/token", { headers, ...rest });
    assert.equal(answer.status, want);
    assert.ok(Array.isArray((JSON.parse(answer.body.toString()) as { errors: unknown }).errors));
  });
}

const services = [
  { name: "ours", values: ["slipway-registry"] },
  { name: "none", values: [] },
  { name: "another one", values: ["registry.example.com"] },
  { name: "two", values: ["slipway-registry", "registry.example.com"] },
];
for (const { name, values } of services) {
  test(`a token is for our service where the request names ${name}`, async () => {
    const named = values.map((value): [string, string] => ["service", value]);
    const scope: [string, string] = ["scope", "repository:team-a/app:pull"];
    const query = new URLSearchParams([...named, scope]);
    const login: [string, string][] = Object.entries({ grant_type: "password", ...adminLogin });
    const answers = [
      await client.ask("GET", `/auth/token?${query}`, { headers: { authorization: basic(adminLogin) } }),
      await client.ask("POST", "/auth/token", {
        headers: { "content-type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams([...login, ...named, scope]).toString(),
      }),
    ];
    for (const { status, body } of answers) {
      assert.equal(status, 200);
      assert.equal(claimsOf((JSON.parse(body.toString()) as { token: string }).token).aud, "slipway-registry");
    }
  });
}

test("a further user has the rights of its rules, and none once the Secret leaves it out", async (t) => {
  const usersKey = `${systemNamespace}/${registryUsersSecretName}`;
  const before = gateway.secrets.get(usersKey) ?? assert.fail();
  t.after(() => gateway.secrets.set(usersKey, before));
  const token = await client.token({ username: "ci", password: "ci-password" }, "repository:team-a/x:pull,push,delete");
  assert.deepEqual(claimsOf(token).access[0]?.actions, ["pull", "push"]);
  const ask = () => client.ask("GET", "/v2/team-a/x/tags/list", { headers: { authorization: `Bearer ${token}` } });
  assert.equal((await ask()).status, 200);
  gateway.secrets.set(usersKey, secretObject(registryUsersSecretName, { ci: "no json" }));
  assert.equal((await ask()).status, 401);
});

test("what a token holds is not enough: rights are looked at with each request", async (t) => {
  const usersKey = `${systemNamespace}/${registryUsersSecretName}`;
  const before = gateway.secrets.get(usersKey) ?? assert.fail();
  t.after(() => {
    gateway.secrets.set(usersKey, before);
    gateway.localRegistries.delete("default");
  });
  const ask = async (method: string, path: string, token: string) => {
    const { status } = await client.ask(method, path, { headers: { authorization: `Bearer ${token}` } });
    return status;
  };
  const user = await client.token({ username: "ci", password: "ci-password" }, "repository:team-a/x:pull,push");
  assert.equal(await ask("POST", "/v2/team-a/x/blobs/uploads/", user), 200);
  const narrowed = { password: "ci-password", rules: [{ repository: "team-a/**", actions: ["pull"] }] };
  gateway.secrets.set(usersKey, secretObject(registryUsersSecretName, { ci: JSON.stringify(narrowed) }));
  assert.equal(await ask("POST", "/v2/team-a/x/blobs/uploads/", user), 401);
  assert.equal(await ask("GET", "/v2/team-a/x/tags/list", user), 200);
  const namespace = await client.token(pullLogin("team-a", "uid-a"), "repository:docker.io/library/x:pull");
  assert.equal(await ask("GET", "/v2/docker.io/library/x/tags/list", namespace), 200);
  gateway.localRegistries.set("default", {
    metadata: { name: "default" },
    spec: { auth: { sharedRepositories: ["ghcr.io/other/**"] } },
  });
  assert.equal(await ask("GET", "/v2/docker.io/library/x/tags/list", namespace), 401);
});

test("rights are not enough: the token has to hold them, and Distribution is not asked", async () => {
  const token = await client.token(adminLogin, "repository:team-a/x:pull");
  recorder.requests.length = 0;
  for (const [method, path] of [
    ["GET", "/v2/team-a/y/tags/list"],
    ["POST", "/v2/team-a/x/blobs/uploads/"],
    ["DELETE", "/v2/team-a/x/manifests/1"],
    ["GET", "/v2/_catalog"],
  ] as const) {
    const answer = await client.ask(method, path, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 401, path);
    assert.match(answer.headers["www-authenticate"] ?? "", /error="insufficient_scope"/);
  }
  assert.deepEqual(recorder.requests, []);
});

test("a ServiceAccount pulls what is shared without a rule, everything else by review", async () => {
  const token = accountToken("builder");
  accept(token, "builder");
  gateway.allow = ({ user, resourceAttributes: { verb, namespace, name } }) =>
    user === "system:serviceaccount:team-a:builder" && verb === "pull" && namespace === "team-b" && name === "x/y";
  const login = { username: "anything", password: token };
  const issued = await client.token(
    login,
    "repository:docker.io/library/nginx:pull,push repository:team-b/x/y:pull,push repository:single:pull",
  );
  assert.deepEqual(claimsOf(issued).access, [
    { type: "repository", name: "docker.io/library/nginx", actions: ["pull"] },
    { type: "repository", name: "team-b/x/y", actions: ["pull"] },
  ]);
});

test("a ServiceAccount token that the review gives another audience is refused", async () => {
  const token = accountToken("other");
  accept(token, "other", ["https://kubernetes.default.svc"]);
  await assert.rejects(client.token({ username: "x", password: token }), /401/);
});

test("a ServiceAccount token for another audience is never reviewed", async () => {
  const before = gateway.reviews.tokens;
  const token = accountToken("builder", "somebody-else");
  accept(token, "builder");
  await assert.rejects(client.token({ username: "x", password: token }), /401/);
  assert.equal(gateway.reviews.tokens, before);
});

test("a ServiceAccount whose namespace is gone, or made again, loses its tokens and gets no new one", async (t) => {
  const namespace = gateway.namespaces.get("team-a") ?? assert.fail();
  t.after(() => gateway.namespaces.set("team-a", namespace));
  const token = accountToken("gone");
  accept(token, "gone");
  const login = { username: "x", password: token };
  const authorization = `Bearer ${await client.token(login, "repository:docker.io/library/x:pull")}`;
  const ask = async () => {
    const answer = await client.ask("GET", "/v2/docker.io/library/x/tags/list", { headers: { authorization } });
    return answer.status;
  };
  assert.equal(await ask(), 200);
  gateway.namespaces.delete("team-a");
  assert.equal(await ask(), 401);
  await assert.rejects(client.token(login), /401/);
  gateway.namespaces.set("team-a", { metadata: { ...namespace.metadata, uid: "uid-other" } });
  assert.equal(await ask(), 401);
  await assert.rejects(client.token(login), /401/, "a remembered review is of the account that there was");
});

test("answers of reviews are remembered", async () => {
  const token = accountToken("cached");
  accept(token, "cached");
  gateway.allow = () => true;
  const login = { username: "x", password: token };
  await client.token(login, "repository:team-b/z:pull");
  const before = { ...gateway.reviews };
  await client.token(login, "repository:team-b/z:pull");
  assert.deepEqual(gateway.reviews, before);
});

test("a login that needs a review is 503 while the API server is away; others go on", async () => {
  gateway.allow = () => {
    throw new ApiError({ status: 0, reason: "", message: "connection refused" });
  };
  const token = accountToken("away");
  accept(token, "away");
  const scope = "?scope=repository:team-c/away:pull";
  const headers = { authorization: basic({ username: "x", password: token }) };
  assert.equal((await client.ask("GET", `/auth/token${scope}`, { headers })).status, 503);
  assert.ok(await client.token(pullLogin("team-a", "uid-a")));
});

test("failed logins beyond ten a second are 429 while right ones go on, and unknown accounts are not reviewed", async (t) => {
  // A gateway whose second does not end, however long twenty logins take here.
  const clock = createManualClock(Date.now());
  const gateway = await startGateway({ distributionUrl: recorder.url, certificates, needs: { clock } });
  const client = createRegistryClient(gateway);
  t.after(async () => {
    client.close();
    const stopped = gateway.stop();
    await clock.advance(60_000);
    await stopped;
  });
  const accept = (token: string, account: string) => acceptAt(gateway, token, account);
  const wrong = { headers: { authorization: basic({ username: "pull.team-a.uid-a", password: "wrong" }) } };
  const known = accountToken("known");
  accept(known, "known");
  await client.token({ username: "x", password: known });
  const statuses: number[] = [];
  for (let count = 0; count < 20; count++) statuses.push((await client.ask("GET", "/auth/token", wrong)).status);
  assert.deepEqual(statuses, [...Array<number>(10).fill(401), ...Array<number>(10).fill(429)]);
  assert.ok(await client.token(pullLogin("team-a", "uid-a")));
  assert.ok(await client.token({ username: "x", password: known }));
  assert.ok(await client.token(adminLogin));
  const before = gateway.reviews.tokens;
  const unknown = { headers: { authorization: basic({ username: "x", password: accountToken("flood") }) } };
  assert.equal((await client.ask("GET", "/auth/token", unknown)).status, 429);
  assert.equal(gateway.reviews.tokens, before);
  await clock.advance(1_000);
  assert.equal((await client.ask("GET", "/auth/token", wrong)).status, 401, "the next second");
});
