import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { resources } from "../cluster/resource.ts";
import {
  caConfigMapName,
  managedByLabel,
  managedByValue,
  nodeNamespace,
  webhookConfigurationName,
} from "../config/names.ts";

type PublishingApi = Pick<ClusterApi, "get" | "apply" | "merge">;

/** Puts the CA bundle (PEM) where those who trust us read it. */
export type BundlePublisher = {
  /**
   * Resolves when every place that exists carries the bundle; writes only what differs. A place that refuses keeps the
   * bundle from none of the others.
   *
   * @throws ApiError of the first that refused
   */
  publish(bundle: string, signal: AbortSignal): Promise<void>;
};

/**
 * The places outside slipway-system: `ca.crt` in ConfigMap `slipway-ca` of the node agents' namespace, and `caBundle`
 * of every webhook of our MutatingWebhookConfiguration. A namespace or configuration that is not installed is no error.
 */
export function createBundlePublisher(needs: { readonly api: PublishingApi }): BundlePublisher {
  return {
    async publish(bundle, signal) {
      const places = [publishConfigMap(needs.api, bundle, signal), publishWebhook(needs.api, bundle, signal)];
      for (const outcome of await Promise.allSettled(places)) if (outcome.status === "rejected") throw outcome.reason;
    },
  };
}

async function publishConfigMap(api: PublishingApi, bundle: string, signal: AbortSignal): Promise<void> {
  const address = { namespace: nodeNamespace, name: caConfigMapName };
  const existing = await getOrAbsent(api.get(resources.configMaps, address, signal));
  if ((existing?.data as Record<string, unknown> | undefined)?.["ca.crt"] === bundle) return;
  const configMap = {
    metadata: { ...address, labels: { [managedByLabel]: managedByValue } },
    data: { "ca.crt": bundle },
  };
  try {
    await api.apply(resources.configMaps, configMap, { force: true, signal });
  } catch (error) {
    // No such namespace: no node agents are installed, so there is nobody to tell.
    if (!isStatus(error, 404)) throw error;
  }
}

/**
 * A merge patch of the whole list of webhooks as it was read, with only `caBundle` changed, fenced by the
 * resourceVersion: server-side apply would make us an owner of each list entry, so that an entry which a later version
 * of the manifests leaves out could not be removed by server-side apply (it would stay, incomplete, and be refused).
 */
async function publishWebhook(api: PublishingApi, bundle: string, signal: AbortSignal): Promise<void> {
  const address = { name: webhookConfigurationName };
  const existing = await getOrAbsent(api.get(resources.mutatingWebhookConfigurations, address, signal));
  const webhooks = existing?.webhooks;
  if (existing === undefined || !Array.isArray(webhooks)) return;
  const caBundle = Buffer.from(bundle).toString("base64");
  const carries = (webhook: Webhook) => webhook.clientConfig?.caBundle === caBundle;
  if (webhooks.every(carries)) return;
  const patch = {
    metadata: { resourceVersion: existing.metadata.resourceVersion },
    webhooks: webhooks.map((webhook: Webhook) => ({ ...webhook, clientConfig: { ...webhook.clientConfig, caBundle } })),
  };
  await api.merge(resources.mutatingWebhookConfigurations, address, patch, signal);
}

type Webhook = { readonly clientConfig?: Readonly<Record<string, unknown>> };

async function getOrAbsent(reading: Promise<KubernetesObject>): Promise<KubernetesObject | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isStatus(error, 404)) return undefined;
    throw error;
  }
}

function isStatus(error: unknown, status: number): boolean {
  return error instanceof ApiError && error.status === status;
}
