import { fileURLToPath } from "node:url";
import { type Cluster, execute, type KubernetesJson } from "./cluster.ts";

/** The bundle that kind-up made: the same code as the image, and the file behind the npm bin `slipway`. */
const program = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

/** The registry's canonical name: how pods and nodes know it. */
export const registryHost = "registry.slipway-system.svc";

/** What a user types: `slipway ARGS…` with the kubeconfig of the cluster. @returns standard output */
export function slipway(
  cluster: Cluster,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  return execute("env", [...variables(cluster, env), process.execPath, program, ...args]);
}

/** `slipway images push`, by whatever way leads to the registry. @returns the reference by which pods name the image */
export async function pushImage(cluster: Cluster, image: string, name: string): Promise<string> {
  return (await slipway(cluster, ["images", "push", image, name])).trim();
}

/** `slipway nodes`, whatever it finds: it ends with 1 where a node does not pass. */
export async function nodeRows(cluster: Cluster): Promise<readonly KubernetesJson[]> {
  const script = '"$0" "$@" || test $? = 1';
  const args = [process.execPath, program, "nodes", "--output", "json"];
  return JSON.parse(await execute("env", [...variables(cluster), "sh", "-c", script, ...args]));
}

function variables(cluster: Cluster, env: Readonly<Record<string, string>> = {}): readonly string[] {
  return Object.entries({ ...env, KUBECONFIG: cluster.kubeconfig }).map(([name, value]) => `${name}=${value}`);
}
