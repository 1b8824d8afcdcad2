import assert from "node:assert/strict";
import type { Cluster, KubernetesJson } from "../cluster.ts";

const place = ["--namespace", "slipway-system"];

/** The one pod of the registry. */
export async function registryPod(cluster: Cluster): Promise<KubernetesJson> {
  const selector = ["--selector", "app.kubernetes.io/component=registry"];
  const { items } = JSON.parse(await cluster.kubectl(["get", "pods", ...place, ...selector, "-o", "json"]));
  const [pod] = items.filter(({ metadata }: KubernetesJson) => metadata.deletionTimestamp === undefined);
  assert.ok(pod !== undefined, "the registry has no pod");
  return pod;
}

/** Until the Deployment is what its spec says and its pod is Ready. */
export async function registryRolledOut(cluster: Cluster): Promise<void> {
  await cluster.kubectl(["rollout", "status", "deployment/registry", ...place, "--timeout=600s"]);
}

export async function restartRegistry(cluster: Cluster): Promise<void> {
  await cluster.kubectl(["rollout", "restart", "deployment/registry", ...place]);
  await registryRolledOut(cluster);
}

export type RegistryContainer = "gateway" | "registry";

/** The first process of a container of the registry's pod. @returns its node and its id there */
export async function findProcess(
  cluster: Cluster,
  container: RegistryContainer,
): Promise<{ readonly node: string; readonly pid: string; readonly containerId: string }> {
  const pod = await registryPod(cluster);
  return findContainerProcess(cluster, pod, container);
}

/** As findProcess, of any running pod. */
export async function findContainerProcess(cluster: Cluster, pod: KubernetesJson, container: string) {
  const found = pod.status.containerStatuses.find(({ name }: KubernetesJson) => name === container);
  const containerId = String(found.containerID).replace(/^containerd:\/\//, "");
  const node: string = pod.spec.nodeName;
  const tasks = await cluster.onNode(node, ["ctr", "--namespace", "k8s.io", "tasks", "ls"]);
  const [, pid] = new RegExp(`^${containerId}\\s+(\\d+)`, "m").exec(tasks) ?? [];
  assert.ok(pid !== undefined, `container ${container} does not run`);
  return { node, pid, containerId };
}

/** Kills the first process of a container of the registry's pod, as the kernel would. */
export async function killContainer(cluster: Cluster, container: RegistryContainer): Promise<void> {
  const { node, pid } = await findProcess(cluster, container);
  await cluster.onNode(node, ["kill", "-KILL", pid]);
}
