import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { Cluster } from "./cluster.ts";

const manifests = fileURLToPath(new URL("../../manifests", import.meta.url));

/** The components that tests need, and what each adds to the cluster beside settings of the Deployment. */
const components: Readonly<Record<string, readonly string[]>> = {
  push: ["clusterrole/slipway-serve-push", "clusterrolebinding/slipway-serve-push"],
  "builds-alias": ["namespace/registry"],
  "node-taint": ["clusterrole/slipway-serve-node-taint", "clusterrolebinding/slipway-serve-node-taint"],
};

/**
 * Applies the default overlay with all components that tests need, as a user would. They stay until
 * `removeComponents`: every test after the first finds them there, and serve is replaced once for all of them.
 *
 * @param further components of one test's own, and patches; that test takes away what they add
 */
export async function applyComponents(
  cluster: Cluster,
  further: { readonly components?: readonly string[]; readonly patches?: readonly object[] } = {},
): Promise<void> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "slipway-kustomization-")));
  try {
    const path = (name: string) => relative(folder, join(manifests, name));
    const names = [...Object.keys(components), ...(further.components ?? [])];
    const kustomization = {
      resources: [path("overlays/default")],
      components: names.map((name) => path(`components/${name}`)),
      patches: further.patches ?? [],
    };
    await writeFile(join(folder, "kustomization.yaml"), JSON.stringify(kustomization));
    await cluster.kubectl(["apply", "-k", folder]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  await rolledOut(cluster);
}

/** What they added beside the default overlay goes; the Deployment goes with that one. */
export async function removeComponents(cluster: Cluster): Promise<void> {
  await cluster.kubectl(["delete", ...Object.values(components).flat(), "--ignore-not-found"]);
}

async function rolledOut(cluster: Cluster): Promise<void> {
  const place = ["--namespace", "slipway-system", "--timeout=300s"];
  await cluster.kubectl(["rollout", "status", "deployment/slipway", ...place]);
}
