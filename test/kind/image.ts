import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { execute } from "./cluster.ts";

/** What every image of the suite is made from; static, in a scratch image. */
export const baseImage = "busybox:1.37";

/**
 * Makes an image of the local docker that no node has seen: the base image and one file `/slipway-test` with `content`
 * in it. No Dockerfile and no build, so it takes no BuildKit and half a second.
 *
 * @param name `repository:tag`; the image is removed after the test
 */
export async function makeImage(t: TestContext, name: string, content: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-image-"));
  const container = (await execute("docker", ["create", baseImage, "true"])).trim();
  try {
    await writeFile(join(folder, "slipway-test"), content);
    await execute("docker", ["cp", join(folder, "slipway-test"), `${container}:/slipway-test`]);
    await execute("docker", ["commit", "--change", `LABEL slipway.dev/test=${content}`, container, name]);
  } finally {
    await execute("docker", ["rm", container]);
    await rm(folder, { recursive: true, force: true });
  }
  t.after(() => execute("docker", ["rmi", "--force", "--no-prune", name]));
}

/** Writes an image of the local docker to a docker archive. @returns its path; removed after the test */
export async function saveImage(t: TestContext, name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-archive-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "image.tar");
  await execute("docker", ["save", "--output", file, name]);
  return file;
}
