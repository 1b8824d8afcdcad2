import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { KubernetesObject } from "../cluster/object.ts";
import { registryCertificateSecretName, webhookConfigurationName } from "../config/names.ts";
import { readManifests } from "../dev/manifests.ts";
import { SlipwayError } from "../errors.ts";

/** What an API server alone can do nothing with: there are no nodes, no pods run, nothing selects. */
const kindsWithoutUse = new Set([
  "Deployment",
  "DaemonSet",
  "Service",
  "PodDisruptionBudget",
  "NetworkPolicy",
  "PriorityClass",
]);
const components = ["push", "opt-in-policy"];
/** The manifests of the default overlay that make sense without nodes; the webhook is reached by URL. */
export async function devManifests(ports: {
  readonly webhook: number;
  readonly gateway: number;
}): Promise<readonly KubernetesObject[]> {
  const root = manifestsFolder();
  const folders = ["crds", "base", ...components.map((name) => `components/${name}`)];
  const objects = (await Promise.all(folders.map((folder) => readManifests(join(root, folder))))).flat();
  const localRegistry: KubernetesObject = {
    apiVersion: "slipway.dev/v1alpha1",
    kind: "LocalRegistry",
    metadata: { name: "default" },
    spec: {
      external: { url: `https://127.0.0.1:${ports.gateway}`, caSecretRef: { name: registryCertificateSecretName } },
      nodeAccess: "External",
    },
  };
  return [
    ...objects.filter((object) => !kindsWithoutUse.has(String(object.kind))).map((object) => atUrl(object, ports)),
    localRegistry,
  ];
}

/** From src/command in a checkout, from dist in a bundle. */
function manifestsFolder(): string {
  const candidates = ["../../manifests", "../manifests"].map((up) => fileURLToPath(new URL(up, import.meta.url)));
  const found = candidates.find((folder) => existsSync(join(folder, "crds", "kustomization.yaml")));
  if (found !== undefined) return found;
  throw new SlipwayError("CONFIG_INVALID", `no manifests in ${candidates.join(" or ")}; run this from a checkout`);
}

function atUrl(object: KubernetesObject, ports: { readonly webhook: number }): KubernetesObject {
  if (object.kind !== "MutatingWebhookConfiguration" || object.metadata.name !== webhookConfigurationName)
    return object;
  const webhooks = object.webhooks as readonly Record<string, unknown>[];
  const clientConfig = { url: `https://127.0.0.1:${ports.webhook}/mutate` };
  return { ...object, webhooks: webhooks.map((webhook) => ({ ...webhook, clientConfig })) };
}
