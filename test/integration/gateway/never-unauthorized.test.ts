import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { deriveLogin } from "../../../src/credential/login.ts";
import type { Action, Identity } from "../../../src/gateway/identity.ts";
import { isRepositoryName, parseRegistryPath } from "../../../src/gateway/repository-path.ts";
import { adminLogin, issueCertificates, key, namespaceObject, startGateway, type TestGateway } from "./harness.ts";
import { startRecorder } from "./recorder.ts";
import { createRegistryClient, pullLogin, pushLogin, type RegistryClient } from "./registry-client.ts";

let gateway: TestGateway;
let recorder: Awaited<ReturnType<typeof startRecorder>>;
let client: RegistryClient;
/** Authorization headers, with whom they stand for. */
const callers = new Map<string, { readonly authorization: string; readonly identity: Identity | undefined }>();
/** Identities that are live, with their logins. */
const live: { readonly identity: Identity; readonly login: typeof adminLogin }[] = [];
const account = "system:serviceaccount:team-a:builder";
/** Reviews let the account pull one repository of another namespace, push its own, and pull one mirrored host. */
const granted = (verb: string, namespace: string | undefined, name: string): boolean => {
  if (namespace === "team-a") return verb === "push" || verb === "pull";
  return (
    verb === "pull" &&
    (namespace === "team-b" ? name === "app" : namespace === undefined && name.startsWith("quay.io/"))
  );
};

/** The table of docs/registry.md once more, written without a look at the code under test. */
function mayDo(identity: Identity, action: Action, repository: string): boolean {
  const [first = "", ...rest] = repository.split("/");
  if (identity.kind === "admin") return true;
  if (rest.length === 0) return false;
  const isPullOfShared = action === "pull" && repository.startsWith("docker.io/library/");
  switch (identity.kind) {
    case "user":
      return first === "team-a" && action !== "delete";
    case "shared":
      return isPullOfShared;
    case "namespace":
      return isPullOfShared || (first === identity.namespace && (action === "pull" || identity.purpose === "push"));
    case "serviceAccount":
      return (
        isPullOfShared ||
        granted(action, /[._]/.test(first) ? undefined : first, /[._]/.test(first) ? repository : rest.join("/"))
      );
  }
}
const repositories = [
  "team-a/app",
  "team-b/app",
  "docker.io/library/nginx",
  "docker.io/private",
  "team-a",
  "quay.io/x/y",
];

before(async () => {
  recorder = await startRecorder();
  gateway = await startGateway({ distributionUrl: recorder.url, certificates: await issueCertificates() });
  client = createRegistryClient(gateway);
  const scopes = [...repositories.map((name) => `repository:${name}:pull,push,delete`), "registry:catalog:*"];
  const add = async (name: string, identity: Identity | undefined, login: typeof adminLogin) => {
    callers.set(name, { identity, authorization: `Bearer ${await client.token(login, ...scopes)}` });
    if (identity !== undefined) live.push({ identity, login });
  };
  gateway.namespaces.set("gone", namespaceObject("gone", "uid-gone"));
  await add("gone", undefined, pullLogin("gone", "uid-gone"));
  gateway.namespaces.delete("gone");
  const own = { kind: "namespace", namespace: "team-a", uid: "uid-a" } as const;
  await add("pull", { ...own, purpose: "pull" }, pullLogin("team-a", "uid-a"));
  await add("push", { ...own, purpose: "push" }, pushLogin("team-a", "uid-a"));
  await add("admin", { kind: "admin" }, adminLogin);
  await add("shared", { kind: "shared" }, deriveLogin(key, { purpose: "shared" }));
  const rules = [{ repository: "team-a/**", actions: ["pull", "push"] as const }];
  await add("user", { kind: "user", name: "ci", rules }, { username: "ci", password: "ci-password" });
  const claims = { sub: account, aud: ["slipway"], exp: Math.floor(Date.now() / 1_000) + 3_600 };
  const accountToken = `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;
  const verdict = { username: account, uid: "1", groups: [], extra: {}, audiences: ["slipway"] };
  gateway.tokens.set(accountToken, { kind: "authenticated", ...verdict });
  gateway.allow = ({ resourceAttributes: { verb, namespace, name = "" } }) => granted(verb, namespace, name);
  const builder = { kind: "serviceAccount", namespace: "team-a", name: "builder", uid: "uid-a" } as const;
  await add("account", builder, { username: "any", password: accountToken });
  const forged = `${Buffer.from('{"alg":"none"}').toString("base64url")}.e30.`;
  callers.set("nobody", { identity: undefined, authorization: "" });
  callers.set("forged", { identity: undefined, authorization: `Bearer ${forged}` });
  callers.set("basic", {
    identity: undefined,
    authorization: `Basic ${Buffer.from("admin:admin-password").toString("base64")}`,
  });
});
after(async () => {
  client.close();
  await gateway.stop();
  await recorder.stop();
});

const digest = `sha256:${"a".repeat(64)}`;
const tricks = ["", "/", "//", "/./", "/../", "%2f", "%2F", "%2e%2e/", "\\", "/%00", ";x", "/../../team-a/app/"];
/** Mostly the plain value, so that enough of what is generated gets through to be judged. */
const mostly = (plain: string, ...others: string[]) =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(plain) }, { weight: 1, arbitrary: fc.constantFrom(...others) });
const tails = ["/manifests/v1", `/manifests/${digest}`, `/blobs/${digest}`, "/blobs/uploads/1", "/tags/list"];
const mounts = ["team-a/base", "team-b/app", "team-b%2fapp", "docker.io/library/nginx"];
const queries = mounts.map((from) => `?from=${from}&mount=${digest}`);
/** Said twice, or in another case or coding: whoever reads the other value must not matter. */
const doubled = [
  `?mount=${digest}&from=team-a/base&from=team-b/app`,
  `?mount=${digest}&from=team-b/app&from=team-a/base`,
  `?from=team-a/base&FROM=team-b/app&mount=${digest}&mount=x`,
  `?mount=${digest}&fro%6d=team-b/app`,
  `?mount=${digest};from=team-b/app`,
];
const roots = [
  "//v2/",
  "/v2//",
  "/V2/",
  "/debug/pprof/",
  "/v2/../v2/",
  "https://registry.example.com/v2/",
  "http://127.0.0.1:5000/v2/",
  "https://registry.example.com//v2/",
  "https://registry.example.com/v2/team-a/../",
];
const anyPath = fc
  .tuple(
    fc.constantFrom(...repositories, "TEAM-A/app", "team-a/../team-b/app", "_catalog", ""),
    mostly("", ...tricks),
    fc.constantFrom("/blobs/uploads/", "/blobs/uploads/", ...tails, ""),
    mostly("", ...queries, ...doubled, "?from=team-b/app", "?ns=docker.io", `?digest=${digest}`),
    mostly("/v2/", ...roots),
  )
  .map(([name, trick, tail, query, root]) => `${root}${name}${trick}${tail}${query}`);

test("no path, method and login reaches Distribution unless the matrix allows it", async () => {
  const method = fc.constantFrom("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS");
  const caller = fc.constantFrom(
    "nobody",
    "forged",
    "basic",
    "gone",
    "pull",
    "push",
    "shared",
    "admin",
    "user",
    "account",
  );
  let reached = 0;
  const property = fc.asyncProperty(method, anyPath, caller, async (verb, path, name) => {
    const { authorization, identity } = callers.get(name) ?? assert.fail(name);
    recorder.requests.length = 0;
    const body = '{"schemaVersion":2,"manifests":[]}';
    const headers = authorization === "" ? {} : { authorization };
    await client.ask(verb, path, { headers, ...(["PUT", "POST", "PATCH"].includes(verb) ? { body } : {}) });
    for (const request of recorder.requests) {
      // The catalogue is read by the gateway itself.
      if (request.url.startsWith("/v2/_catalog")) continue;
      reached++;
      assert.ok(identity !== undefined, `${name} reached ${request.method} ${request.url}`);
      assertAllowed(identity, request);
    }
  });
  await fc.assert(property, { numRuns: 3_000 });
  assert.ok(reached > 40, `the test has to let something through to mean anything: ${reached}`);
});

const segment = fc.stringMatching(/^[a-z0-9]{1,8}([._-][a-z0-9]{1,4})?$/);
const first = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom("team-a", "team-b", "docker.io/library", "docker.io", "quay.io", "team-a/x"),
  },
  { weight: 1, arbitrary: segment },
);
const anyRepository = fc
  .tuple(first, fc.array(segment, { maxLength: 3 }))
  .map(([start, rest]) => [start, ...rest].join("/"));
/** Every operation of the API on a repository: method, path below it, and what it asks for. */
const operations = [
  { method: "GET", tail: "/manifests/v1", actions: ["pull"] },
  { method: "HEAD", tail: `/manifests/${digest}`, actions: ["pull"] },
  { method: "GET", tail: `/blobs/${digest}`, actions: ["pull"] },
  { method: "GET", tail: "/tags/list", actions: ["pull"] },
  { method: "GET", tail: `/referrers/${digest}`, actions: ["pull"] },
  { method: "PUT", tail: "/manifests/v1", actions: ["pull", "push"] },
  { method: "POST", tail: "/blobs/uploads/", actions: ["pull", "push"] },
  { method: "PATCH", tail: "/blobs/uploads/1", actions: ["pull", "push"] },
  { method: "PUT", tail: `/blobs/uploads/1?digest=${digest}`, actions: ["pull", "push"] },
  { method: "DELETE", tail: "/manifests/v1", actions: ["delete"] },
  { method: "DELETE", tail: `/blobs/${digest}`, actions: ["delete"] },
] as const;

test("every operation on every repository reaches Distribution exactly when the matrix allows it", async () => {
  const counts = { reached: 0, refused: 0 };
  const property = fc.asyncProperty(
    fc.nat(live.length - 1),
    fc.constantFrom(...operations),
    anyRepository,
    async (index, { method, tail, actions }, repository) => {
      const { identity, login } = live[index] ?? assert.fail();
      const token = await client.token(login, `repository:${repository}:pull,push,delete`);
      recorder.requests.length = 0;
      const body = '{"schemaVersion":2,"manifests":[]}';
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/octet-stream" };
      const sent = { headers, ...(["PUT", "POST", "PATCH"].includes(method) ? { body } : {}) };
      const { status } = await client.ask(method, `/v2/${repository}${tail}`, sent);
      const isAllowed = actions.every((action) => mayDo(identity, action, repository));
      const what = `${JSON.stringify(identity)} ${method} ${repository}${tail}: ${status}`;
      assert.equal(recorder.requests.length, isAllowed ? 1 : 0, what);
      assert.equal(status, isAllowed ? 200 : 401, what);
      counts[isAllowed ? "reached" : "refused"]++;
    },
  );
  await fc.assert(property, { numRuns: 2_000 });
  assert.ok(counts.reached > 400 && counts.refused > 400, JSON.stringify(counts));
});

/** Ways to name a source; only of the first is it certain that it means one. */
const mountQueries: readonly ((from: string) => string)[] = [
  (from) => `?mount=${digest}&from=${from}`,
  (from) => `?mount=${digest}&from=${encodeURIComponent(from)}`,
  (from) => `?mount=${digest}&from=team-a/base&from=${from}`,
  (from) => `?mount=${digest}&from=${from}&from=team-a/base`,
  (from) => `?mount=${digest}&FROM=${from}&fro%6d=${from}`,
  (from) => `?mount=x&mount=${digest}&from=${from}`,
  (from) => `?mount=${digest}&from=team-a/../${from}`,
  (from) => `?mount=${digest}&from=/${from}`,
];

test("a blob is mounted from another repository exactly by those who may pull there", async () => {
  const counts = { mounted: 0, uploaded: 0 };
  const property = fc.asyncProperty(
    fc.nat(live.length - 1),
    fc.nat(mountQueries.length - 1),
    anyRepository,
    async (index, shape, from) => {
      const { identity, login } = live[index] ?? assert.fail();
      const target = identity.kind === "shared" ? "docker.io/library/x" : "team-a/target";
      const token = await client.token(login, `repository:${target}:pull,push`, `repository:${from}:pull`);
      recorder.requests.length = 0;
      const headers = { authorization: `Bearer ${token}` };
      await client.ask("POST", `/v2/${target}/blobs/uploads/${mountQueries[shape]?.(from)}`, { headers });
      const [request] = recorder.requests;
      assert.equal(request !== undefined, mayDo(identity, "push", target));
      if (request === undefined) return;
      assertAllowed(identity, request);
      const { searchParams } = new URL(request.url, "http://distribution.invalid");
      const isMount = searchParams.get("from") !== null;
      assert.equal(searchParams.get("mount"), isMount ? digest : null);
      if (shape === 0) assert.equal(isMount, mayDo(identity, "pull", from), `${JSON.stringify(identity)} from ${from}`);
      counts[isMount ? "mounted" : "uploaded"]++;
    },
  );
  await fc.assert(property, { numRuns: 1_000 });
  assert.ok(counts.mounted > 50 && counts.uploaded > 50, JSON.stringify(counts));
});

function assertAllowed(identity: Identity, request: { readonly method: string; readonly url: string }): void {
  const url = new URL(request.url, "http://distribution.invalid");
  const parsed = parseRegistryPath(url.pathname);
  assert.ok(parsed.kind === "route", request.url);
  if (!("repository" in parsed.route)) {
    assert.equal(parsed.route.kind, "base");
    return;
  }
  const actions =
    request.method === "DELETE"
      ? (["delete"] as const)
      : ["GET", "HEAD"].includes(request.method)
        ? (["pull"] as const)
        : (["pull", "push"] as const);
  for (const action of actions) {
    const isAllowed = mayDo(identity, action, parsed.route.repository);
    assert.ok(isAllowed, `${JSON.stringify(identity)} ${request.method} ${request.url}`);
  }
  const from = url.searchParams.get("from");
  if (from === null) return;
  assert.ok(isRepositoryName(from));
  assert.ok(mayDo(identity, "pull", from), `${JSON.stringify(identity)} mounts from ${from}`);
}
