import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { adminLogin, issueCertificates, startGateway, type TestGateway } from "./harness.ts";
import { startRecorder } from "./recorder.ts";
import { type Answer, type Ask, basic, createRegistryClient, type RegistryClient } from "./registry-client.ts";

let gateway: TestGateway;
let recorder: Awaited<ReturnType<typeof startRecorder>>;
let client: RegistryClient;
let bearer: string;

before(async () => {
  recorder = await startRecorder();
  gateway = await startGateway({ distributionUrl: recorder.url, certificates: await issueCertificates() });
  client = createRegistryClient(gateway);
  bearer = `Bearer ${await client.token(adminLogin, "repository:team-a/app:pull,push,delete")}`;
});
after(async () => {
  client.close();
  await gateway.stop();
  await recorder.stop();
});

/** @returns the code of an OCI error body, which every refusal has to have */
function codeOf(answer: Answer): string {
  assert.equal(answer.headers["content-type"], "application/json");
  const { errors } = JSON.parse(answer.body.toString()) as { errors: { code: string; message: string }[] };
  assert.equal(errors.length, 1);
  assert.ok((errors[0]?.message ?? "") !== "");
  return errors[0]?.code ?? "";
}

const manifest = "/v2/team-a/app/manifests/v1";
const jsonType = { "content-type": "application/vnd.oci.image.manifest.v1+json" };
type Case = {
  readonly name: string;
  readonly method?: string;
  readonly path: string;
  /** Without one: the admin's token. */
  readonly authorization?: string;
  readonly ask?: () => Ask;
  readonly want: readonly [status: number, code: string];
};

const authorizations = [
  "Bearer",
  "Bearer  ",
  "Bearer a b",
  "Digest x",
  "bearer\tx",
  "Basic !!!",
  "\u00ff",
  "x".repeat(9_000),
];
const cases: readonly Case[] = [
  ...authorizations.map((authorization) => ({
    name: `Authorization ${JSON.stringify(authorization.slice(0, 12))}`,
    path: manifest,
    authorization,
    want: [401, "UNAUTHORIZED"] as const,
  })),
  ...["Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Bearer x"].map((authorization) => ({
    name: `a login by ${authorization}`,
    path: "/auth/token",
    authorization,
    want: [401, "UNAUTHORIZED"] as const,
  })),
  { name: "an escaped slash", path: "/v2/team-a%2fapp/manifests/v1", want: [400, "NAME_INVALID"] },
  { name: "a double slash", path: "/v2/team-a//app/manifests/v1", want: [400, "NAME_INVALID"] },
  { name: "two dots", path: "/v2/team-b/../team-a/manifests/v1", want: [400, "NAME_INVALID"] },
  { name: "two escaped dots", path: "/v2/team-b/%2e%2e/team-a/manifests/v1", want: [400, "NAME_INVALID"] },
  { name: "an upper-case name", path: "/v2/Team-A/app/manifests/v1", want: [400, "NAME_INVALID"] },
  { name: "a name of 300 characters", path: `/v2/${"a/".repeat(150)}b/tags/list`, want: [400, "NAME_INVALID"] },
  { name: "a broken escape", path: "/v2/team-a/%zz/manifests/v1", want: [404, "NOT_FOUND"] },
  { name: "Distribution's debug port", path: "/debug/vars", want: [404, "NOT_FOUND"] },
  { name: "a tag that is none", path: "/v2/team-a/app/manifests/-v1", want: [404, "MANIFEST_UNKNOWN"] },
  { name: "a digest that is none", path: "/v2/team-a/app/blobs/sha256:1", want: [404, "BLOB_UNKNOWN"] },
  { name: "a method that there is not", method: "PATCH", path: manifest, want: [405, "UNSUPPORTED"] },
  { name: "a page of no number", path: "/v2/_catalog?n=-1", want: [400, "PAGINATION_NUMBER_INVALID"] },
  ...["", "null", "[]", "{", '{"schemaVersion":1}', '{"schemaVersion":2}', '{"schemaVersion":2,"manifests":[1]}'].map(
    (body) => ({
      name: `the manifest ${JSON.stringify(body)}`,
      method: "PUT",
      path: manifest,
      ask: () => ({ headers: jsonType, body }),
      want: [400, "MANIFEST_INVALID"] as const,
    }),
  ),
  {
    name: "a manifest that says it is 5 MiB",
    method: "PUT",
    path: manifest,
    ask: () => ({ headers: jsonType, body: Buffer.alloc(5 * 1024 * 1024, " ") }),
    want: [413, "MANIFEST_INVALID"],
  },
  ...["application/x-www-form-urlencoded", "Multipart/Form-Data; boundary=x"].map(
    (type): Case => ({
      name: `a manifest sent as ${type}`,
      method: "PUT",
      path: manifest,
      ask: () => ({ headers: { "content-type": type }, body: '{"schemaVersion":2,"manifests":[]}' }),
      want: [400, "MANIFEST_INVALID"],
    }),
  ),
  {
    name: "a manifest without an end",
    method: "PUT",
    path: manifest,
    ask: () => ({ headers: jsonType, body: endless() }),
    want: [413, "MANIFEST_INVALID"],
  },
  {
    name: "a login without an end",
    method: "POST",
    path: "/auth/token",
    ask: () => ({ headers: { "content-type": "application/x-www-form-urlencoded" }, body: endless() }),
    want: [413, "UNSUPPORTED"],
  },
  {
    name: "a login that is no form",
    method: "POST",
    path: "/auth/token",
    ask: () => ({ headers: { "content-type": "application/json" }, body: "{}" }),
    want: [415, "UNSUPPORTED"],
  },
];

/** Ends when the connection does. */
function endless(): Readable {
  return new Readable({
    read() {
      this.push(Buffer.alloc(64 * 1024, " "));
    },
  });
}

for (const { name, method = "GET", path, authorization, ask = (): Ask => ({}), want } of cases) {
  test(`${name} is ${want.join(" ")}, and Distribution never sees it`, async () => {
    recorder.requests.length = 0;
    const { headers = {}, body } = ask();
    const all = { authorization: authorization ?? (path.includes("_catalog") ? await catalogueToken() : bearer) };
    const sent = { headers: { ...all, ...headers }, ...(body === undefined ? {} : { body }) };
    const answer = await client.ask(method, path, sent);
    if (body instanceof Readable) body.destroy();
    assert.deepEqual([answer.status, codeOf(answer)], want);
    assert.deepEqual(recorder.requests, []);
  });
}

async function catalogueToken(): Promise<string> {
  return `Bearer ${await client.token(adminLogin, "registry:catalog:*")}`;
}

const scopes = [
  "",
  "repository",
  "repository:",
  "repository::pull",
  "repository:team-a/app",
  "repository:team-a/app:",
  "repository:../x:pull",
  "repository:Team/app:pull",
  "registry:other:*",
  "plugin:team-a/app:pull",
  ":::",
  "x".repeat(10_000),
];
for (const scope of scopes) {
  test(`the scope ${JSON.stringify(scope.slice(0, 30))} grants nothing, and is no error`, async () => {
    const query = new URLSearchParams({ service: "slipway-registry", scope });
    const answer = await client.ask("GET", `/auth/token?${query}`, { headers: { authorization: basic(adminLogin) } });
    assert.equal(answer.status, 200);
    assert.equal((JSON.parse(answer.body.toString()) as { scope: string }).scope, "");
  });
}
