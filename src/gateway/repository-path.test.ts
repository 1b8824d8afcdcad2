import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatRegistryPath, parseRegistryPath } from "./repository-path.ts";

const digest = `sha256:${"a".repeat(64)}`;
const routes = [
  { path: "/v2/", want: { kind: "base" } },
  { path: "/v2", want: { kind: "base" } },
  { path: "/v2/_catalog", want: { kind: "catalog" } },
  { path: "/v2/a/b/manifests/v1", want: { kind: "manifest", repository: "a/b", reference: "v1" } },
  { path: `/v2/a/manifests/${digest}`, want: { kind: "manifest", repository: "a", reference: digest } },
  {
    path: `/v2/a/manifests/sha256%3A${"a".repeat(64)}`,
    want: { kind: "manifest", repository: "a", reference: digest },
  },
  { path: `/v2/a/b/blobs/${digest}`, want: { kind: "blob", repository: "a/b", digest } },
  { path: "/v2/a/blobs/uploads/", want: { kind: "upload", repository: "a", id: undefined } },
  { path: "/v2/a/blobs/uploads", want: { kind: "upload", repository: "a", id: undefined } },
  { path: "/v2/a/blobs/uploads/1-2_3.4", want: { kind: "upload", repository: "a", id: "1-2_3.4" } },
  { path: "/v2/a/tags/list", want: { kind: "tags", repository: "a" } },
  { path: `/v2/a/referrers/${digest}`, want: { kind: "referrers", repository: "a", digest } },
  { path: "/v2/a/manifests/b/manifests/c", want: { kind: "manifest", repository: "a/manifests/b", reference: "c" } },
  { path: "/v2/blobs/uploads/manifests/c", want: { kind: "manifest", repository: "blobs/uploads", reference: "c" } },
] as const;
for (const { path, want } of routes) {
  test(`${path} is a ${want.kind}`, () => assert.deepEqual(parseRegistryPath(path), { kind: "route", route: want }));
}

const refusals = [
  { name: "an empty segment", path: "/v2//a/manifests/v1", code: "NAME_INVALID" },
  { name: "an escaped slash", path: "/v2/a%2fb/manifests/v1", code: "NAME_INVALID" },
  { name: "a doubly escaped slash", path: "/v2/a%252fb/manifests/v1", code: "NAME_INVALID" },
  { name: "a parent segment", path: "/v2/a/../b/manifests/v1", code: "NAME_INVALID" },
  { name: "an escaped parent segment", path: "/v2/a/%2e%2e/b/manifests/v1", code: "NAME_INVALID" },
  { name: "a dot segment", path: "/v2/./a/manifests/v1", code: "NAME_INVALID" },
  { name: "upper case", path: "/v2/Team-A/app/manifests/v1", code: "NAME_INVALID" },
  { name: "a backslash", path: "/v2/a\\b/manifests/v1", code: "NAME_INVALID" },
  { name: "a null byte", path: "/v2/a%00/manifests/v1", code: "NAME_INVALID" },
  { name: "no name", path: "/v2/manifests/v1", code: "NAME_INVALID" },
  { name: "a name of 256 characters", path: `/v2/${"a/".repeat(127)}ab/manifests/v1`, code: "NAME_INVALID" },
  { name: "a tag that begins with a dot", path: "/v2/a/manifests/.x", code: "MANIFEST_UNKNOWN" },
  { name: "a tag with a slash escaped", path: "/v2/a/manifests/x%2fy", code: "MANIFEST_UNKNOWN" },
  { name: "a blob without a digest", path: "/v2/a/blobs/x", code: "BLOB_UNKNOWN" },
  { name: "an upload with a strange id", path: "/v2/a/blobs/uploads/x%3Fy", code: "BLOB_UPLOAD_UNKNOWN" },
  { name: "an upload with an id that no storage takes", path: "/v2/a/blobs/uploads/a=b", code: "BLOB_UPLOAD_UNKNOWN" },
  { name: "a broken escape", path: "/v2/%zz/manifests/v1", code: "NOT_FOUND" },
  { name: "the profiler", path: "/debug/pprof/", code: "NOT_FOUND" },
  { name: "an absolute address", path: "http://example.com/v2/", code: "NOT_FOUND" },
  { name: "the version in another spelling", path: "/V2/", code: "NOT_FOUND" },
];
for (const { name, path, code } of refusals) {
  test(`${name} is refused`, () => {
    const outcome = parseRegistryPath(path);
    assert.equal(outcome.kind === "refused" ? outcome.code : outcome.kind, code);
  });
}

test("whatever is understood means the same when it is read again as it is forwarded", () => {
  const piece = fc.constantFrom(
    "a",
    "b-c",
    "manifests",
    "blobs",
    "uploads",
    "tags",
    "list",
    "_catalog",
    digest,
    "..",
    "%2f",
    "v1",
    "",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 7 }), (pieces) => {
      const outcome = parseRegistryPath(`/v2/${pieces.join("/")}`);
      if (outcome.kind === "refused") return;
      const path = formatRegistryPath(outcome.route);
      assert.deepEqual(parseRegistryPath(path), outcome);
      assert.ok(!/\/\/|\.\.|%/.test(path));
    }),
  );
});
