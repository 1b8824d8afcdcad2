import assert from "node:assert/strict";
import { test } from "node:test";
import { checkManifestShape } from "./manifest-shape.ts";

const descriptor = { mediaType: "application/octet-stream", digest: `sha256:${"a".repeat(64)}`, size: 1 };
const cases = [
  {
    name: "an image manifest",
    manifest: { schemaVersion: 2, config: descriptor, layers: [descriptor] },
    want: "accepted",
  },
  {
    name: "an artifact without layers",
    manifest: { schemaVersion: 2, config: descriptor, layers: [] },
    want: "accepted",
  },
  { name: "an index", manifest: { schemaVersion: 2, manifests: [descriptor] }, want: "accepted" },
  { name: "an empty index", manifest: { schemaVersion: 2, manifests: [] }, want: "accepted" },
  { name: "null", manifest: null, want: "refused" },
  { name: "a list", manifest: [], want: "refused" },
  { name: "schema 1", manifest: { schemaVersion: 1 }, want: "refused" },
  { name: "schema 2 as text", manifest: { schemaVersion: "2", manifests: [] }, want: "refused" },
  { name: "no config", manifest: { schemaVersion: 2, layers: [] }, want: "refused" },
  { name: "no layers", manifest: { schemaVersion: 2, config: descriptor }, want: "refused" },
  { name: "a null layer", manifest: { schemaVersion: 2, config: descriptor, layers: [null] }, want: "refused" },
  {
    name: "a negative size",
    manifest: { schemaVersion: 2, config: { ...descriptor, size: -1 }, layers: [] },
    want: "refused",
  },
  ...[
    "sha256:xyz",
    `sha256:${"a".repeat(63)}`,
    `sha256:${"A".repeat(64)}`,
    `sha512:${"a".repeat(64)}`,
    `blake3:${"a".repeat(64)}`,
    "",
  ].map((digest) => ({
    name: `a descriptor with the digest '${digest.slice(0, 12)}' of ${digest.length} characters`,
    manifest: { schemaVersion: 2, manifests: [{ ...descriptor, digest }] },
    want: "refused",
  })),
  {
    name: "a config with a digest of sha512",
    manifest: { schemaVersion: 2, config: { ...descriptor, digest: `sha512:${"a".repeat(128)}` }, layers: [] },
    want: "accepted",
  },
  {
    name: "a size that is no whole number",
    manifest: { schemaVersion: 2, manifests: [{ ...descriptor, size: 1.5 }] },
    want: "refused",
  },
] as const;
for (const { name, manifest, want } of cases) {
  test(`${name} is ${want}`, () => {
    assert.equal(checkManifestShape(Buffer.from(JSON.stringify(manifest))).kind, want);
  });
}

// What Go reads as one of the keys that were checked, and JavaScript as another one.
const doubtful = [
  '{"schemaVersion":2,"manifests":[],"SchemaVersion":1}',
  '{"schemaVersion":2,"manifests":[],"\u017fchemaVersion":1}',
  '{"schemaVersion":2,"manifests":[],"Manifests":[null]}',
  '{"schemaVersion":2,"manifests":[],"mediatype":"x"}',
  `{"schemaVersion":2,"config":${JSON.stringify(descriptor)},"layers":[],"CONFIG":{"digest":"sha256:abc"}}`,
  `{"schemaVersion":2,"manifests":[{"digest":"${descriptor.digest}","size":1,"Digest":"nope:x"}]}`,
];
for (const text of doubtful) {
  test(`${text.replace(/[0-9a-f]{64}/g, "…")} is refused: Distribution would read another manifest than we`, () => {
    assert.equal(checkManifestShape(Buffer.from(text)).kind, "refused");
  });
}

test("keys that we do not know stay, whatever their case", () => {
  const manifest = { schemaVersion: 2, manifests: [{ ...descriptor, URLs: [] }], Annotations: {}, subject: null };
  assert.equal(checkManifestShape(Buffer.from(JSON.stringify(manifest))).kind, "accepted");
});

test("a byte order mark is refused", () => {
  assert.equal(checkManifestShape(Buffer.from('\ufeff{"schemaVersion":2,"manifests":[]}')).kind, "refused");
});

test("bytes that are no UTF-8 are refused", () => {
  assert.equal(checkManifestShape(Buffer.from([0xff, 0xfe, 0x7b])).kind, "refused");
});
