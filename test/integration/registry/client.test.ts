import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { createCatalogue } from "../../../src/registry/catalogue.ts";
import type { RegistryClient } from "../../../src/registry/client.ts";
import { readListing } from "../../../src/registry/listing.ts";
import { startBreakingProxy } from "../../fake/breaking-proxy.ts";
import { type BareRegistry, blobOf, clientOf, pushSmallImage, startBareRegistry } from "./distribution.ts";

const signal = AbortSignal.timeout(600_000);
const mebibyte = 1024 * 1024;

describe("the client against CNCF Distribution", () => {
  let registry: BareRegistry;
  let client: RegistryClient;
  before(async () => {
    registry = await startBareRegistry();
    client = clientOf(registry.url);
  });
  after(async () => {
    client.close();
    await registry.remove();
  });

  test("a pushed manifest comes back byte for byte, by tag and by digest", async () => {
    const pushed = await pushSmallImage(client, "demo/app", "1");
    const found = await client.getManifest("demo/app", pushed.digest, signal);
    assert.deepEqual(found?.bytes, pushed.bytes);
    assert.equal((await client.headManifest("demo/app", "1", signal))?.digest, pushed.digest);
  });

  test("what is not there is undefined or false, and no error", async () => {
    const absent = `sha256:${"0".repeat(64)}`;
    assert.equal(await client.headManifest("demo/app", "absent", signal), undefined);
    assert.equal(await client.getManifest("demo/none", absent, signal), undefined);
    assert.equal(await client.hasBlob("demo/app", absent, signal), false);
    assert.equal(await client.getBlob("demo/app", absent, signal), undefined);
    assert.equal(await client.deleteManifest("demo/app", absent, signal), false);
  });

  test("an upload begun and cancelled leaves nothing in the catalog", async () => {
    await client.tryUpload("slipway-check/storage", signal);
    const names: string[] = [];
    for await (const page of client.repositories(signal)) names.push(...page);
    assert.ok(!names.includes("slipway-check/storage"));
  });

  test("a mount of an unknown blob is refused and leaves no upload behind", async () => {
    const blob = blobOf(randomBytes(100));
    assert.equal(await client.mountBlob("demo/b", blob.digest, "demo/app", signal), false);
    await client.uploadBlob("demo/app", blob, { signal });
    assert.equal(await client.mountBlob("demo/b", blob.digest, "demo/app", signal), true);
    assert.equal(await client.hasBlob("demo/b", blob.digest, signal), true);
  });

  test("content that does not fit its digest is refused", async () => {
    const blob = { ...blobOf(randomBytes(100)), digest: `sha256:${"1".repeat(64)}` };
    await assert.rejects(client.uploadBlob("demo/app", blob, { signal }), { code: "DIGEST_INVALID", status: 400 });
  });

  test("an upload of several chunks survives breaks in the middle of each", async () => {
    const proxy = await startBreakingProxy(registry.address);
    const through = clientOf(registry.url, proxy.address);
    try {
      const blob = blobOf(randomBytes(72 * mebibyte));
      proxy.breakAfter(5 * mebibyte, 36 * mebibyte, 8 * mebibyte);
      await through.uploadBlob("demo/large", blob, { signal });
      assert.equal(proxy.broken(), 3);
      assert.equal(await client.hasBlob("demo/large", blob.digest, signal), true);
    } finally {
      through.close();
      await proxy.close();
    }
  });

  test("an upload gives up after its attempts when nothing arrives", async () => {
    const proxy = await startBreakingProxy(registry.address);
    const through = clientOf(registry.url, proxy.address);
    try {
      proxy.cut();
      await assert.rejects(through.uploadBlob("demo/app", blobOf(randomBytes(10)), { signal, attempts: 2 }), {
        status: 0,
      });
    } finally {
      through.close();
      await proxy.close();
    }
  });

  test("a listing finds every tag, and drops what a deletion took away unseen", async () => {
    const pages = 3;
    for (let index = 0; index < pages; index++) await pushSmallImage(client, "listed/app", `v${index}`);
    const catalogue = createCatalogue({ clock: systemClock });
    await readListing({ client, catalogue }, signal);
    catalogue.markLive();
    assert.equal(catalogue.has("listed/app", "v2", undefined), true);
    const gone = await client.headManifest("listed/app", "v1", signal);
    assert.ok(gone);
    await client.deleteManifest("listed/app", gone.digest, signal);
    const outcome = await readListing({ client, catalogue, afterGap: true }, signal);
    assert.equal(outcome.removed, 2);
    assert.equal(catalogue.has("listed/app", "v1", undefined), false);
    assert.equal(catalogue.has("listed/app", undefined, gone.digest), false);
    assert.equal(catalogue.has("listed/app", "v0", undefined), true);
  });
});
