import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { execute } from "../cluster.ts";
import { baseImage } from "../image.ts";

/** Makes an image of the local docker with a layer of that many random bytes; it is removed after the test. */
export async function makeLargeImage(t: TestContext, name: string, bytes: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-large-"));
  const container = (await execute("docker", ["create", baseImage, "true"])).trim();
  try {
    await writeFile(join(folder, "large"), randomBytes(bytes));
    await execute("docker", ["cp", join(folder, "large"), `${container}:/large`]);
    await execute("docker", ["commit", container, name]);
  } finally {
    await execute("docker", ["rm", container]);
    await rm(folder, { recursive: true, force: true });
  }
  t.after(() => execute("docker", ["rmi", "--force", "--no-prune", name]));
}
