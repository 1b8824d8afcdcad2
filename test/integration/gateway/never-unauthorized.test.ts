import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { decideAccess } from "../../../src/gateway/access.ts";
import type { Identity } from "../../../src/gateway/identity.ts";
import { isRepositoryName, parseRegistryPath } from "../../../src/gateway/repository-path.ts";
import { adminLogin, issueCertificates, namespaceObject, startGateway, type TestGateway } from "./harness.ts";
import { startRecorder } from "./recorder.ts";
import { createRegistryClient, pullLogin, pushLogin, type RegistryClient } from "./registry-client.ts";

let gateway: TestGateway;
let recorder: Awaited<ReturnType<typeof startRecorder>>;
let client: RegistryClient;
/** Authorization headers, with whom they stand for. */
const callers = new Map<string, { readonly authorization: string; readonly identity: Identity | undefined }>();
const policy = { sharedRepositories: ["docker.io/library/**"] };
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
  };
  gateway.namespaces.set("gone", namespaceObject("gone", "uid-gone"));
  await add("gone", undefined, pullLogin("gone", "uid-gone"));
  gateway.namespaces.delete("gone");
  const own = { kind: "namespace", namespace: "team-a", uid: "uid-a" } as const;
  await add("pull", { ...own, purpose: "pull" }, pullLogin("team-a", "uid-a"));
  await add("push", { ...own, purpose: "push" }, pushLogin("team-a", "uid-a"));
  await add("admin", { kind: "admin" }, adminLogin);
  const rules = [{ repository: "team-a/**", actions: ["pull", "push"] as const }];
  await add("user", { kind: "user", name: "ci", rules }, { username: "ci", password: "ci-password" });
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
const anyPath = fc
  .tuple(
    fc.constantFrom(...repositories, "TEAM-A/app", "team-a/../team-b/app", "_catalog", ""),
    mostly("", ...tricks),
    fc.constantFrom("/blobs/uploads/", "/blobs/uploads/", ...tails, ""),
    mostly("", ...queries, "?from=team-b/app", "?ns=docker.io", `?digest=${digest}`),
    mostly("/v2/", "//v2/", "/v2//", "/V2/", "/debug/pprof/", "/v2/../v2/"),
  )
  .map(([name, trick, tail, query, root]) => `${root}${name}${trick}${tail}${query}`);

test("no path, method and login reaches Distribution unless the matrix allows it", async () => {
  const method = fc.constantFrom("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS");
  const caller = fc.constantFrom("nobody", "forged", "basic", "gone", "pull", "push", "admin", "user");
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
    const verdict = decideAccess(identity, action, parsed.route.repository, policy);
    assert.equal(verdict.kind, "allowed", `${JSON.stringify(identity)} ${request.method} ${request.url}`);
  }
  const from = url.searchParams.get("from");
  if (from === null) return;
  assert.ok(isRepositoryName(from));
  assert.equal(decideAccess(identity, "pull", from, policy).kind, "allowed");
}
