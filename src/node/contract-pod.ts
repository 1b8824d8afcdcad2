import type { KubernetesObject } from "../cluster/object.ts";
import { pullSecretName } from "../config/names.ts";

/** On the pods of contract checks; its value is the process that made them. */
export const contractLabel = "slipway.dev/contract";

export const contractRepository = (namespace: string): string => `${namespace}/contract`;
/** The one image that stays, for the agents' hourly look. */
export const probeRepository = (namespace: string): string => `${namespace}/probe`;
export const probeTag = "latest";

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
}): KubernetesObject {
  return {
    metadata: {
      name: options.name,
      namespace: options.namespace,
      labels: {
        "app.kubernetes.io/name": "slipway",
        "app.kubernetes.io/component": "contract-check",
        [contractLabel]: options.run,
      },
    },
    spec: {
      nodeName: options.node,
      tolerations: [{ operator: "Exists" }],
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
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
