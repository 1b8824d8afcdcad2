import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Cluster, clusterOf, execute } from "../cluster.ts";

const script = (name: string) => fileURLToPath(new URL(`../../../scripts/${name}`, import.meta.url));

/** What containerd up to 2.1 has by itself: no folder in which it would look for hosts.toml. */
const withoutConfigPath = `[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = ""\n`;

/**
 * A cluster of one node beside the suite's, with the image that was built for that one.
 *
 * @param name one that a run that was cut off has left is made anew
 */
export async function makeClusterWithoutConfigPath(name: string): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-kind-"));
  try {
    const patch = join(folder, "patch.toml");
    await writeFile(patch, withoutConfigPath);
    await removeCluster(name);
    await execute(script("kind-up"), ["--no-build", "--name", name, "--containerd-patch", patch]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return clusterOf(name, fileURLToPath(new URL(`../../../.cache/kind/${name}.kubeconfig`, import.meta.url)));
}

export async function removeCluster(name: string): Promise<void> {
  await execute(script("kind-down"), ["--name", name]);
}
