import { fileURLToPath } from "node:url";
import { type Cluster, execute } from "../cluster.ts";

const main = fileURLToPath(new URL("../../../src/main.ts", import.meta.url));

/** The registry's canonical name: how pods and nodes know it. */
export const registryHost = "registry.slipway-system.svc";

/** What a user types: `slipway ARGS…` with the kubeconfig of the cluster. @returns standard output */
export function slipway(
  cluster: Cluster,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const variables = Object.entries({ ...env, KUBECONFIG: cluster.kubeconfig }).map(
    ([name, value]) => `${name}=${value}`,
  );
  return execute("env", [...variables, process.execPath, main, ...args]);
}

/** `slipway images push`, by whatever way leads to the registry. @returns the reference by which pods name the image */
export async function pushImage(cluster: Cluster, image: string, name: string): Promise<string> {
  return (await slipway(cluster, ["images", "push", image, name])).trim();
}
