import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { Cluster } from "../cluster.ts";

const manifests = fileURLToPath(new URL("../../../manifests", import.meta.url));

/** What a component adds and applying the overlay alone does not take away. */
const added: Readonly<Record<string, readonly string[]>> = {
  push: ["clusterrole/slipway-serve-push", "clusterrolebinding/slipway-serve-push"],
  "builds-alias": ["namespace/registry"],
};

/**
 * Applies the default overlay with components, as a user would.
 *
 * @returns what applies it without them again
 */
export async function applyComponents(cluster: Cluster, names: readonly string[]): Promise<() => Promise<void>> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "slipway-kustomization-")));
  const path = (name: string) => relative(folder, join(manifests, name));
  const kustomization = {
    resources: [path("overlays/default")],
    components: names.map((name) => path(`components/${name}`)),
  };
  await writeFile(join(folder, "kustomization.yaml"), JSON.stringify(kustomization));
  await cluster.kubectl(["apply", "-k", folder]);
  await rolledOut(cluster);
  return async () => {
    await rm(folder, { recursive: true, force: true });
    await cluster.kubectl(["apply", "-k", join(manifests, "overlays/default")]);
    const objects = names.flatMap((name) => added[name] ?? []);
    await cluster.kubectl(["delete", ...objects, "--ignore-not-found"]);
    await rolledOut(cluster);
  };
}

async function rolledOut(cluster: Cluster): Promise<void> {
  const place = ["--namespace", "slipway-system", "--timeout=180s"];
  await cluster.kubectl(["rollout", "status", "deployment/slipway", ...place]);
}
