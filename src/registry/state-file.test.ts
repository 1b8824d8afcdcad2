import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { readStateFile } from "./state-file.ts";

async function folderOf(t: TestContext, state: unknown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-state-"));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "ca.crt"), "pem");
  await writeFile(join(folder, "password"), "secret\n");
  await writeFile(join(folder, "dev.json"), typeof state === "string" ? state : JSON.stringify(state));
  return folder;
}

const registry = { url: "https://127.0.0.1:5443", caFile: "ca.crt", username: "admin", passwordFile: "password" };

test("everything that reaching the registry needs stands in dev.json, paths beside it included", async (t) => {
  const folder = await folderOf(t, { kubeconfig: "kubeconfig", registry, webhook: {}, operations: {} });
  assert.deepEqual(await readStateFile(join(folder, "dev.json")), {
    kubeconfig: join(folder, "kubeconfig"),
    url: registry.url,
    ca: "pem",
    login: { username: "admin", password: "secret" },
  });
});

const broken: readonly (readonly [string, unknown])[] = [
  ["no JSON", "{"],
  ["no registry", { kubeconfig: "kubeconfig" }],
  ["a file that is not there", { kubeconfig: "kubeconfig", registry: { ...registry, caFile: "absent" } }],
];
for (const [name, state] of broken) {
  test(`refused: ${name}`, async (t) => {
    const folder = await folderOf(t, state);
    await assert.rejects(readStateFile(join(folder, "dev.json")), { code: "CONFIG_INVALID" });
  });
}
