import type { KubernetesObject } from "../cluster/object.ts";
import { checkNamespace, checkOtherNamespace, pullSecretName } from "../config/names.ts";

/** On the pods of contract checks; its value is the process that made them. */
export const contractLabel = "slipway.dev/contract";

export const contractRepository = (namespace: string): string => `${namespace}/contract`;
/** The one image that stays, for the agents' hourly look. */
export const probeRepository = (namespace: string): string => `${namespace}/probe`;
export const probeTag = "latest";

/** Where a check works, and what its pods are given. */
export type ContractPlace = {
  /** Of the pods that have to pull. */
  readonly namespace: string;
  /** Of the pods that have to be refused, where the target isolates. */
  readonly otherNamespace: string;
  /** Where the image of a check is pushed to, without the host. */
  readonly repository: string;
  /** Label by which the pods are found; its value is the run. */
  readonly label: string;
  /** Secrets that a pod of `namespace` names itself, beside the one that admission appends. */
  readonly pullSecrets: readonly string[];
  /** Whether a pod without Slipway's pull Secret would prove nothing. */
  readonly isInjected: boolean;
  /** By what pods of `namespace` log in, for people. */
  readonly login: string;
  /** What becomes of a pod or an image that could not be removed, for people. */
  readonly leftovers: string;
  /** The pod of `namespace` that the check runs in: pods that are left there go with it. */
  readonly owner?: { readonly name: string; readonly uid: string };
};

/** Of the leader's own checks. */
export const slipwayPlace: ContractPlace = {
  namespace: checkNamespace,
  otherNamespace: checkOtherNamespace,
  repository: contractRepository(checkNamespace),
  label: contractLabel,
  pullSecrets: [],
  isInjected: true,
  login: `Secret ${checkNamespace}/${pullSecretName}`,
  leftovers: "it is removed when a replica leads anew",
};

/**
 * A pod on one node, one container for each reference. It names its node itself: taints and a full scheduler do not
 * count. Nothing in it ever runs, since its image holds no program; Pod Security `restricted` is met all the same.
 */
export function contractPod(options: {
  readonly name: string;
  readonly namespace: string;
  readonly node: string;
  readonly run: string;
  readonly images: readonly string[];
  readonly place: ContractPlace;
}): KubernetesObject {
  const { place } = options;
  const isOwn = options.namespace === place.namespace;
  const pullSecrets = isOwn ? place.pullSecrets : [];
  // An owner in another namespace is none: the collector would remove the pod at once.
  const owner = isOwn ? place.owner : undefined;
  return {
    metadata: {
      name: options.name,
      namespace: options.namespace,
      labels: {
        "app.kubernetes.io/name": "slipway",
        "app.kubernetes.io/component": "contract-check",
        [place.label]: options.run,
      },
      ...(owner === undefined ? {} : { ownerReferences: [{ apiVersion: "v1", kind: "Pod", ...owner }] }),
    },
    spec: {
      nodeName: options.node,
      tolerations: [{ operator: "Exists" }],
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      ...(pullSecrets.length === 0 ? {} : { imagePullSecrets: pullSecrets.map((name) => ({ name })) }),
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
      containers: options.images.map((image, index) => ({
        name: containerName(index),
        image,
        imagePullPolicy: "Always",
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
      })),
    },
  };
}

export function containerName(index: number): string {
  return `name-${index}`;
}

/** Whether admission gave the pod its pull Secret; without it the check would prove nothing. */
export function hasPullSecret(pod: KubernetesObject): boolean {
  const secrets = (pod.spec as { imagePullSecrets?: unknown } | undefined)?.imagePullSecrets;
  return Array.isArray(secrets) && secrets.some((entry: { name?: unknown }) => entry?.name === pullSecretName);
}
