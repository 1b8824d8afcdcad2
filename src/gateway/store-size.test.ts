import assert from "node:assert/strict";
import { link, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { measureStore } from "./store-size.ts";

const signal = AbortSignal.timeout(60_000);

async function volume(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "store-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function store(folder: string, path: string, bytes: number): Promise<string> {
  const file = join(folder, "docker/registry/v2", path);
  await mkdir(join(file, ".."), { recursive: true });
  await writeFile(file, Buffer.alloc(bytes));
  return file;
}

test("files at every depth are added up, and what lies beside the store is not", async (t) => {
  const folder = await volume(t);
  const layer = await store(folder, "blobs/sha256/aa/aabb/data", 100_000);
  await store(folder, "repositories/demo/app/_layers/sha256/aabb/link", 71);
  await store(folder, "repositories/demo/app/_uploads/1/data", 9);
  await writeFile(join(folder, "other"), Buffer.alloc(5_000));
  assert.equal(await measureStore(folder, signal), 100_080);
  await link(layer, `${layer}-2`);
  assert.equal(await measureStore(folder, signal), 200_080);
});

test("a symbolic link is not followed, not even to its own folder", async (t) => {
  const folder = await volume(t);
  await store(folder, "blobs/data", 10);
  await symlink("..", join(folder, "docker/registry/v2/blobs/loop"));
  assert.equal(await measureStore(folder, signal), 12);
});

test("a volume that nothing was pushed to holds 0 bytes", async (t) => {
  assert.equal(await measureStore(await volume(t), signal), 0);
});

test("a volume that is not there is no empty one", async (t) => {
  await assert.rejects(measureStore(join(await volume(t), "absent"), signal), { code: "ENOENT" });
});

test("what vanishes while it is walked counts nothing", async (t) => {
  const folder = await volume(t);
  for (let count = 0; count < 300; count++) await store(folder, `repositories/r${count}/_uploads/1/data`, 10);
  const removing = rm(join(folder, "docker/registry/v2/repositories"), { recursive: true });
  const bytes = await measureStore(folder, signal);
  await removing;
  assert.ok(bytes <= 3_000 && bytes % 10 === 0, `${bytes}`);
  assert.equal(await measureStore(folder, signal), 0);
});

test("a store that cannot be read is a fault, and no number", async (t) => {
  const folder = await volume(t);
  await mkdir(join(folder, "docker"));
  await writeFile(join(folder, "docker/registry"), "");
  await assert.rejects(measureStore(folder, signal), { code: "ENOTDIR" });
});

test("a walk ends when it is told to", async (t) => {
  const folder = await volume(t);
  await store(folder, "blobs/data", 10);
  await assert.rejects(measureStore(folder, AbortSignal.abort()), { name: "AbortError" });
});
