import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import type { Blob } from "../registry/blob.ts";
import { buildContractImage } from "./contract-image.ts";

const contentOf = (blob: Blob) => buffer(blob.open(0, blob.size));
const digestOf = (bytes: Buffer) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

test("the manifest names the configuration and the layer by what they are", async () => {
  const { blobs, manifest } = buildContractImage("one");
  const [config, layer] = blobs;
  assert.ok(config !== undefined && layer !== undefined);
  const parsed = JSON.parse(manifest.bytes.toString());
  assert.equal(manifest.digest, digestOf(manifest.bytes));
  assert.deepEqual([parsed.config.digest, parsed.config.size], [config.digest, config.size]);
  assert.deepEqual([parsed.layers[0].digest, parsed.layers[0].size], [layer.digest, layer.size]);
  for (const blob of blobs) assert.equal(digestOf(await contentOf(blob)), blob.digest);
});

test("the layer is a tar archive with the content, and the configuration names it unpacked", async () => {
  const [config, layer] = buildContractImage("hello").blobs;
  assert.ok(config !== undefined && layer !== undefined);
  const tar = gunzipSync(await contentOf(layer));
  assert.equal(tar.length % 512, 0);
  assert.equal(tar.subarray(512, 517).toString(), "hello");
  const header = Buffer.from(tar.subarray(0, 512));
  const sum = Number.parseInt(header.toString("latin1", 148, 154), 8);
  header.fill(" ", 148, 156);
  assert.equal(
    header.reduce((total, byte) => total + byte, 0),
    sum,
  );
  assert.deepEqual(JSON.parse((await contentOf(config)).toString()).rootfs.diff_ids, [digestOf(tar)]);
});

test("two images share nothing, and one is far below a megabyte", () => {
  const [one, other] = [buildContractImage("one"), buildContractImage("other")];
  const digests = [...one.blobs, ...other.blobs].map(({ digest }) => digest);
  assert.equal(new Set(digests).size, 4);
  assert.notEqual(one.manifest.digest, other.manifest.digest);
  assert.ok(one.blobs.reduce((total, { size }) => total + size, one.manifest.bytes.length) < 4_096);
});
