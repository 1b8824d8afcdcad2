import type { Cluster, KubernetesJson } from "./cluster.ts";
import { eventually } from "./eventually.ts";

export type PodWish = {
  readonly name: string;
  readonly namespace: string;
  readonly image: string;
  /** The only node that it may run on; any node without it. */
  readonly node?: string;
  /** With a node every taint unless given. */
  readonly tolerations?: readonly object[];
  /** Kubernetes' own choice unless given. */
  readonly pullPolicy?: "Always" | "IfNotPresent" | "Never";
  readonly command?: readonly string[];
};

/** A Pod as JSON that sleeps, or runs a command once. */
export function podManifest(wish: PodWish): string {
  const { name, namespace, image, node, pullPolicy, tolerations = [{ operator: "Exists" }] } = wish;
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace },
    spec: {
      ...(node === undefined ? {} : { nodeSelector: { "kubernetes.io/hostname": node }, tolerations }),
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

/** A pod of each wish; their pulls do not wait for each other. */
export async function startPods(cluster: Cluster, wishes: readonly PodWish[]): Promise<void> {
  await Promise.all(wishes.map((wish) => startPod(cluster, wish)));
}

/** What kubelet says when a pull failed, at once and while it waits to try again: one follows the other for ever. */
const failedPullReasons = ["ErrImagePull", "ImagePullBackOff"];

/**
 * Waits until the pull of a pod's image has failed and the runtime's words are told by an Event, which comes on its own
 * way: before or after the pod's status.
 *
 * @param words what the Event has to say
 */
export async function waitForFailedPull(cluster: Cluster, namespace: string, words: RegExp): Promise<void> {
  let told = "";
  await eventually(`a pull in ${namespace} fails by ${words}`, async () => {
    const { items: pods } = await cluster.get("pods", { namespace });
    const isWaiting = pods.some(({ status }: KubernetesJson) =>
      failedPullReasons.includes(status.containerStatuses?.[0]?.state?.waiting?.reason),
    );
    const { items } = await cluster.get("events", { namespace });
    told = items.map(({ message }: KubernetesJson) => String(message)).join("\n");
    return isWaiting && words.test(told) ? true : undefined;
  }).catch((error: Error) => {
    throw new Error(`${error.message}; Events say:\n${told}`, { cause: error });
  });
}

/** Waits until the container of a pod waits for one of these reasons, e.g. ErrImageNeverPull. */
export async function waitForRefusal(cluster: Cluster, wish: PodWish, reasons: readonly string[]): Promise<void> {
  await eventually(`pod ${wish.namespace}/${wish.name} waits by ${reasons.join(" or ")}`, async () => {
    const { status } = await cluster.get("pod", { name: wish.name, namespace: wish.namespace });
    return reasons.includes(status.containerStatuses?.[0]?.state?.waiting?.reason) ? true : undefined;
  });
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
