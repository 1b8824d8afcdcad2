import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type OutgoingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import type { RegistryFault } from "./refusal.ts";
import { type Explain, sendFault } from "./registry-fault.ts";

type Given = { readonly status: number; readonly body: string; readonly headers?: Record<string, string> };

/** @returns what a client is told when Distribution answered that */
async function told(t: TestContext, { status, body, headers = {} }: Given, explain?: Explain) {
  const server = createServer((_request, response) => {
    sendFault(response, { status, headers, body: Buffer.from(body) }, explain);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const { errors } = (await answer.json()) as { errors: readonly unknown[] };
  return { status: answer.status, headers: Object.fromEntries(answer.headers) as OutgoingHttpHeaders, errors };
}

const one = (code: string, message: string, detail?: unknown) =>
  JSON.stringify({ errors: [{ code, message, ...(detail === undefined ? {} : { detail }) }] });

const kept = [
  { name: "a tag that is unknown", code: "MANIFEST_UNKNOWN", detail: "unknown tag=v1" },
  {
    name: "a manifest that is unknown",
    code: "MANIFEST_UNKNOWN",
    detail: `unknown manifest name=docker.io/library/nginx revision=sha256:${"0".repeat(64)}`,
  },
  { name: "a repository that is unknown", code: "NAME_UNKNOWN", detail: { name: "registry.example.com_5000/a-b/c" } },
  { name: "a page", code: "PAGINATION_NUMBER_INVALID", detail: { n: -1 } },
  { name: "a right", code: "UNAUTHORIZED", detail: [{ Type: "repository", Class: "", Name: "a/b", Action: "pull" }] },
  { name: "no detail", code: "MANIFEST_INVALID", detail: null },
];
for (const { name, code, detail } of kept) {
  test(`a detail about ${name} is told`, async (t) => {
    const { errors } = await told(t, { status: 404, body: one(code, "message", detail) });
    assert.deepEqual(errors, [{ code, message: "message", detail }]);
  });
}

const places: readonly unknown[] = [
  "filesystem: Path not found: /docker/registry/v2/repositories/team-a/app/_manifests/tags/nope",
  "s3aws: Path not found: /docker/registry/v2/blobs",
  { Path: "/docker/registry/v2", DriverName: "filesystem" },
  [{ cause: { path: "/var/lib/registry" } }],
  'Put "https://s3.example.com:9000/bucket/docker/registry/v2/x": connection refused',
];
for (const detail of places) {
  test(`${JSON.stringify(detail).slice(0, 60)} names a place of the storage and is left out`, async (t) => {
    const { status, errors } = await told(t, { status: 404, body: one("MANIFEST_UNKNOWN", "unknown", detail) });
    assert.equal(status, 404);
    assert.deepEqual(errors, [{ code: "MANIFEST_UNKNOWN", message: "unknown", detail: null }]);
  });
}

test("of a 5xx no detail is told, whatever it is, and each of several errors is", async (t) => {
  const errors = [
    { code: "UNKNOWN", message: "unknown error", detail: "s3aws: AccessDenied: request id 123, host id abc" },
    { code: "MANIFEST_BLOB_UNKNOWN", message: "blob unknown to registry", detail: "sha256:0" },
  ];
  const answer = await told(t, { status: 500, body: JSON.stringify({ errors }) });
  assert.equal(answer.status, 500);
  assert.deepEqual(
    answer.errors,
    errors.map((error) => ({ ...error, detail: null })),
  );
});

test("of a 5xx is told what explains it, of a 4xx never", async (t) => {
  const full: RegistryFault = { status: 507, error: { code: "UNAVAILABLE", message: "full" } };
  const body = one("UNKNOWN", "unknown error", "no space left on device");
  const answer = await told(t, { status: 500, body }, () => full);
  assert.deepEqual([answer.status, answer.errors], [507, [{ code: "UNAVAILABLE", message: "full", detail: null }]]);
  assert.equal((await told(t, { status: 404, body }, () => full)).status, 404);
});

const plain = [
  { status: 400, body: "400 Bad Request", code: "UNSUPPORTED" },
  { status: 404, body: "404 page not found", code: "NOT_FOUND" },
  { status: 404, body: '{"errors":[]}', code: "NOT_FOUND" },
  { status: 404, body: '{"errors":[{"code":5}]}', code: "NOT_FOUND" },
  { status: 412, body: "", code: "UNSUPPORTED" },
  { status: 416, body: "invalid range: failed to overlap", code: "RANGE_INVALID" },
  { status: 500, body: '{"errors":[{"code":"UNKNOWN","mess', code: "UNAVAILABLE" },
  { status: 502, body: "<html>", code: "UNAVAILABLE" },
];
for (const { status, body, code } of plain) {
  test(`${status} with '${body}' is given the code ${code}`, async (t) => {
    const answer = await told(t, { status, body });
    assert.equal(answer.status, status);
    assert.deepEqual(
      answer.errors.map((error) => (error as { code: string }).code),
      [code],
    );
  });
}

test("headers that tell a client what to do go on, those of the content that is not sent do not", async (t) => {
  const headers = {
    "content-type": "text/plain",
    "content-length": "5",
    "content-range": "bytes */5",
    "www-authenticate": 'Bearer realm="https://registry.example.com/auth/token"',
    "cache-control": "max-age=31536000",
    etag: '"x"',
    "transfer-encoding": "chunked",
  };
  const answer = await told(t, { status: 416, body: "x", headers });
  const { date: _, connection: __, "keep-alive": ___, "content-length": ____, ...rest } = answer.headers;
  assert.deepEqual(rest, {
    "content-type": "application/json",
    "content-range": headers["content-range"],
    "www-authenticate": headers["www-authenticate"],
  });
});
