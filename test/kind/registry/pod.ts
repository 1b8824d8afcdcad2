import type { Cluster, KubernetesJson } from "../cluster.ts";

export type PodWish = {
  readonly name: string;
  readonly namespace: string;
  readonly image: string;
  /** The only node that it may run on, whatever that node's taints; any node without it. */
  readonly node?: string;
  /** Kubernetes' own choice unless given. */
  readonly pullPolicy?: "Always" | "IfNotPresent" | "Never";
  readonly command?: readonly string[];
};

/** A Pod as JSON that sleeps, or runs a command once. */
export function podManifest(wish: PodWish): string {
  const { name, namespace, image, node, pullPolicy } = wish;
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace },
    spec: {
      ...(node === undefined
        ? {}
        : { nodeSelector: { "kubernetes.io/hostname": node }, tolerations: [{ operator: "Exists" }] }),
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: "app",
          image,
          ...(pullPolicy === undefined ? {} : { imagePullPolicy: pullPolicy }),
          command: wish.command ?? ["sleep", "3600"],
        },
      ],
    },
  });
}

/** Creates a pod and waits until it is Ready. */
export async function startPod(cluster: Cluster, wish: PodWish): Promise<void> {
  await cluster.apply(podManifest(wish));
  await cluster.wait(`pod/${wish.name}`, "condition=Ready", { namespace: wish.namespace });
}

/** Waits until the container of a pod waits for this reason, e.g. ImagePullBackOff. */
export async function waitForRefusal(cluster: Cluster, wish: PodWish, reason: string): Promise<void> {
  const path = "{.status.containerStatuses[0].state.waiting.reason}";
  await cluster.wait(`pod/${wish.name}`, `jsonpath=${path}=${reason}`, { namespace: wish.namespace });
}

/** What the Events of a pod say, one per line. */
export async function eventsOf(cluster: Cluster, pod: { readonly name: string; readonly namespace: string }) {
  const { items } = await cluster.get("events", { namespace: pod.namespace });
  const own = items.filter(({ involvedObject }: KubernetesJson) => involvedObject?.name === pod.name);
  return own.map(({ reason, message }: KubernetesJson) => `${reason}: ${message}`).join("\n") as string;
}

/** Waits until a pod's container has ended. @returns its exit code and what it wrote */
export async function waitForEnd(
  cluster: Cluster,
  { name, namespace }: { readonly name: string; readonly namespace: string },
): Promise<{ readonly exitCode: number; readonly log: string }> {
  const ended = "jsonpath={.status.containerStatuses[0].state.terminated.reason}";
  await cluster.wait(`pod/${name}`, ended, { namespace });
  const { status } = await cluster.get("pod", { name, namespace });
  const log = await cluster.kubectl(["logs", name, "--namespace", namespace]);
  return { exitCode: status.containerStatuses[0].state.terminated.exitCode, log };
}
