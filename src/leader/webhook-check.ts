import { randomBytes } from "node:crypto";
import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { resources } from "../cluster/resource.ts";
import { checkNamespace, pullSecretName } from "../config/names.ts";

export type WebhookCheckOutcome =
  | { readonly kind: "mutated" }
  | { readonly kind: "unmutated"; readonly reason: string; readonly message: string };

/**
 * Sends a Pod to the API server as a dry run, in `slipway-check`, and looks whether it came back with the pull
 * Secret: the only proof that the API server reaches the webhook, trusts it and takes its patch.
 */
export async function checkWebhook(api: ClusterApi, image: string, signal: AbortSignal): Promise<WebhookCheckOutcome> {
  try {
    const pod = await api.create(resources.pods, probePod(image), { dryRun: true, signal });
    return hasPullSecret(pod)
      ? { kind: "mutated" }
      : {
          kind: "unmutated",
          reason: "WebhookNotReached",
          message: `a dry-run Pod in ${checkNamespace} came back without the pull Secret: the API server does not reach the webhook yet, or the namespace has lost its opt-in label`,
        };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return {
      kind: "unmutated",
      reason: "DryRunRefused",
      message: `a dry-run Pod in ${checkNamespace} was refused (${error.status} ${error.reason}): ${error.message}`,
    };
  }
}

function hasPullSecret(pod: KubernetesObject): boolean {
  const secrets = (pod.spec as { imagePullSecrets?: unknown } | undefined)?.imagePullSecrets;
  return Array.isArray(secrets) && secrets.some((entry: { name?: unknown }) => entry?.name === pullSecretName);
}

function probePod(image: string): KubernetesObject {
  return {
    metadata: { name: `webhook-check-${randomBytes(4).toString("hex")}`, namespace: checkNamespace },
    spec: {
      restartPolicy: "Never",
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
      containers: [
        {
          name: "probe",
          image,
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
        },
      ],
    },
  };
}
