import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { type Resource, resources } from "../cluster/resource.ts";
import { validateLocalRegistry } from "../config/custom-resource.ts";
import type { LocalRegistrySpec } from "../config/local-registry.ts";
import {
  caConfigMapName,
  nodeNamespace,
  registryAdminSecretName,
  systemNamespace,
  webhookConfigurationName,
} from "../config/names.ts";
import type { Login } from "../credential/login.ts";
import { SlipwayError } from "../errors.ts";
import { readObject } from "./observe.ts";
import { selectorLabels } from "./pod-template.ts";
import { readAdminLogin, textOf } from "./secrets.ts";

/** What a user's kubeconfig tells about the local registry. */
export type ClusterAccess = {
  readonly spec: LocalRegistrySpec;
  /** `status.endpoints.host`: as seen from outside the cluster. */
  readonly outsideHost: string | undefined;
  /** PEM; undefined where the system's trust is enough, or ours cannot be read. */
  readonly ca: string | undefined;
};

/** @throws SlipwayError REGISTRY_UNREACHABLE when there is no LocalRegistry; ApiError */
export async function readClusterAccess(api: ClusterApi, signal: AbortSignal): Promise<ClusterAccess> {
  const registry = await readObject(api, resources.localRegistries, { name: "default" }, signal);
  if (registry === undefined) {
    throw new SlipwayError(
      "REGISTRY_UNREACHABLE",
      "there is no LocalRegistry default in this cluster; is Slipway installed, and is this the right context?",
    );
  }
  const validated = validateLocalRegistry(registry);
  if (validated.kind === "invalid") {
    throw new SlipwayError("REGISTRY_UNREACHABLE", `LocalRegistry default: ${validated.problem}`);
  }
  const status = registry.status as { readonly endpoints?: { readonly host?: unknown } } | undefined;
  const host = status?.endpoints?.host;
  return {
    spec: validated.spec,
    outsideHost: typeof host === "string" && host !== "" ? host : undefined,
    ca: await readAuthority(api, validated.spec, signal),
  };
}

async function readAuthority(
  api: ClusterApi,
  spec: LocalRegistrySpec,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (spec.external !== undefined) {
    const name = spec.external.caSecretRef?.name;
    if (name === undefined) return undefined;
    return textOf(await readObject(api, resources.secrets, { namespace: systemNamespace, name }, signal), "ca.crt");
  }
  const address = { namespace: nodeNamespace, name: caConfigMapName };
  const published = await readObject(api, resources.configMaps, address, signal);
  const pem = (published?.data as Readonly<Record<string, unknown>> | undefined)?.["ca.crt"];
  return typeof pem === "string" && pem !== "" ? pem : readBundle(api, signal);
}

/** Without node agents the CA is still in the webhook's configuration. */
async function readBundle(api: ClusterApi, signal: AbortSignal): Promise<string | undefined> {
  const found = await readObject(
    api,
    resources.mutatingWebhookConfigurations,
    { name: webhookConfigurationName },
    signal,
  );
  const webhooks = (found?.webhooks ?? []) as readonly { readonly clientConfig?: { readonly caBundle?: unknown } }[];
  const bundle = webhooks[0]?.clientConfig?.caBundle;
  return typeof bundle === "string" && bundle !== "" ? Buffer.from(bundle, "base64").toString("utf8") : undefined;
}

/**
 * The admin's login, or the external registry's.
 *
 * @throws SlipwayError REGISTRY_UNREACHABLE that says which Secret is missing or may not be read
 */
export async function readLogin(api: ClusterApi, spec: LocalRegistrySpec, signal: AbortSignal): Promise<Login> {
  const name = spec.external?.credentialSecretRef?.name ?? registryAdminSecretName;
  const advice = `use --username and --password-file with a login of your own`;
  const secret = await readAllowed(api, resources.secrets, { namespace: systemNamespace, name }, signal);
  if (secret === "forbidden") {
    const what = `your kubeconfig may not read Secret ${systemNamespace}/${name}; ${advice}`;
    throw new SlipwayError("REGISTRY_UNREACHABLE", what);
  }
  const login = readAdminLogin(secret);
  if (login !== undefined) return login;
  const what = secret === undefined ? "there is no" : "username or password is missing in";
  throw new SlipwayError("REGISTRY_UNREACHABLE", `${what} Secret ${systemNamespace}/${name}; ${advice}`);
}

async function readAllowed(
  api: ClusterApi,
  resource: Resource,
  address: { readonly namespace: string; readonly name: string },
  signal: AbortSignal,
): Promise<KubernetesObject | undefined | "forbidden"> {
  try {
    return await readObject(api, resource, address, signal);
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return "forbidden";
    throw error;
  }
}

/** A pod of the registry that is Ready. @throws SlipwayError REGISTRY_UNREACHABLE when there is none */
export async function findReadyPod(api: ClusterApi, signal: AbortSignal): Promise<string> {
  const labelSelector = Object.entries(selectorLabels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
  const pods = await api.list(resources.pods, { namespace: systemNamespace, labelSelector }, signal);
  const ready = pods.find((pod) => pod.metadata.deletionTimestamp === undefined && isReady(pod));
  if (ready !== undefined) return ready.metadata.name;
  throw new SlipwayError(
    "REGISTRY_UNREACHABLE",
    `no pod of the registry is ready; see kubectl --namespace ${systemNamespace} get pods and kubectl describe localregistry default`,
  );
}

function isReady(pod: KubernetesObject): boolean {
  const status = pod.status as { readonly conditions?: readonly { type?: unknown; status?: unknown }[] } | undefined;
  return status?.conditions?.some((entry) => entry.type === "Ready" && entry.status === "True") === true;
}
