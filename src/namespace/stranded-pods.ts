import { listOf, recordOf } from "../cluster/narrow.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { pullSecretName } from "../config/names.ts";

/** A pod that cannot pull and that Slipway can no longer help: a pull Secret cannot be added to a pod that exists. */
export type StrandedPod = {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string | undefined;
  /** What has to be restarted: its controller, or the pod itself. */
  readonly owner: { readonly kind: string; readonly name: string } | undefined;
  /** The image that it waits for. */
  readonly image: string;
};

const pullFailures = new Set(["ErrImagePull", "ImagePullBackOff"]);

/**
 * The pods of an opted-in namespace that wait for an image and do not name the pull Secret: admitted before the
 * namespace was labelled, or while Slipway was away. Pods that opted out are not counted.
 *
 * @param pods as the API server lists them, of whatever phase
 * @see https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff
 */
export function findStrandedPods(pods: readonly KubernetesObject[]): readonly StrandedPod[] {
  return pods.flatMap((pod) => {
    const image = waitingFor(pod);
    const isOptedOut = pod.metadata.labels?.["slipway.dev/inject"] === "disabled";
    if (image === undefined || isOptedOut || namesPullSecret(pod)) return [];
    const { namespace = "", name, uid } = pod.metadata;
    return [{ namespace, name, uid, owner: controllerOf(pod), image }];
  });
}

/** What the owner of the pod should do, as a sentence for an Event. */
export function adviceFor(pod: StrandedPod): string {
  const { owner, namespace, name } = pod;
  const what =
    "it was created before Slipway served this namespace, and a pull Secret cannot be added to a pod that exists";
  if (owner === undefined) return `${what}; delete Pod ${name} and create it again`;
  if (owner.kind === "ReplicaSet") {
    const deployment = owner.name.replace(/-[^-]+$/, "");
    return `${what}; restart its owner: kubectl -n ${namespace} rollout restart deployment/${deployment}`;
  }
  if (owner.kind === "Job") return `${what}; delete Job ${owner.name} and create it again`;
  const kind = owner.kind.toLowerCase();
  return `${what}; restart its owner: kubectl -n ${namespace} rollout restart ${kind}/${owner.name}`;
}

function waitingFor(pod: KubernetesObject): string | undefined {
  const status = recordOf(pod.status);
  const all = [...listOf(status.initContainerStatuses), ...listOf(status.containerStatuses)].map(recordOf);
  const waiting = all.find((entry) => pullFailures.has(String(recordOf(recordOf(entry.state).waiting).reason)));
  return waiting === undefined ? undefined : String(waiting.image);
}

function namesPullSecret(pod: KubernetesObject): boolean {
  return listOf(recordOf(pod.spec).imagePullSecrets).some((entry) => recordOf(entry).name === pullSecretName);
}

function controllerOf(pod: KubernetesObject): StrandedPod["owner"] {
  const owner = listOf(pod.metadata.ownerReferences)
    .map(recordOf)
    .find((entry) => entry.controller === true);
  return owner === undefined ? undefined : { kind: String(owner.kind), name: String(owner.name) };
}
