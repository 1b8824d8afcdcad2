import { chmod, copyFile, mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { execute } from "../cluster.ts";
import { baseImage } from "../image.ts";

/**
 * Makes an image of the local docker as quay.io/skopeo/stable is one, with the skopeo of this machine and the libraries
 * that it needs, and the OCI layout of another image at `/image`; also with a shell, from the base image. A build would need a Dockerfile's worth of downloads.
 *
 * @param name `repository:tag`; the image is removed after the test
 * @param content an image of the local docker, for `/image`
 */
export async function makeSkopeoImage(t: TestContext, name: string, content: string): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), "slipway-skopeo-image-"));
  const program = (await execute("sh", ["-c", "command -v skopeo"])).trim();
  const container = (await execute("docker", ["create", baseImage, "true"])).trim();
  try {
    for (const file of [program, ...(await librariesOf(program))]) {
      const copy = join(root, file);
      await mkdir(dirname(copy), { recursive: true });
      await copyFile(await realpath(file), copy);
      await chmod(copy, 0o755);
    }
    await mkdir(join(root, "etc/containers"), { recursive: true });
    await writeFile(join(root, "etc/containers/policy.json"), '{"default":[{"type":"insecureAcceptAnything"}]}');
    await mkdir(join(root, "var/tmp"), { recursive: true });
    await execute("skopeo", ["--insecure-policy", "copy", `docker-daemon:${content}`, `oci:${join(root, "image")}`]);
    await execute("docker", ["cp", `${root}/.`, `${container}:/`]);
    await execute("docker", ["commit", "--change", `ENTRYPOINT ["${program}"]`, "--change", "CMD []", container, name]);
  } finally {
    await execute("docker", ["rm", container]);
    await rm(root, { recursive: true, force: true });
  }
  t.after(() => execute("docker", ["rmi", "--force", "--no-prune", name]));
}

/** The files that a program is linked with, its loader among them; under the paths by which it looks for them. */
async function librariesOf(program: string): Promise<readonly string[]> {
  const lines = (await execute("ldd", [program])).split("\n");
  return lines.flatMap((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? []);
}
