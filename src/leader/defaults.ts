import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { type Resource, resources } from "../cluster/resource.ts";
import { unlessMissing } from "../cluster/unless-missing.ts";
import { managedByLabel, managedByValue, stateConfigMapName } from "../config/names.ts";
import type { Log } from "../log.ts";

const createdKey = "defaults";

const defaultObjects: readonly { readonly resource: Resource; readonly object: KubernetesObject }[] = [
  { resource: resources.localRegistries, object: { metadata: { name: "default" }, spec: {} } },
  {
    resource: resources.imageRewrites,
    object: { metadata: { name: "default" }, spec: { when: "IfPresent", rules: [{ target: "local" }] } },
  },
];

/**
 * Creates LocalRegistry `default` and ImageRewrite `default` at the first start of the first leader, so that one
 * `kubectl apply -k` installs everything. That it happened is recorded in ConfigMap `slipway-state`: an object that
 * somebody deleted later stays deleted.
 *
 * @returns whether anything was created
 * @throws ApiError for every answer but "exists already"
 */
export async function createDefaultsOnce(
  needs: { readonly api: ClusterApi; readonly namespace: string; readonly log: Log },
  signal: AbortSignal,
): Promise<boolean> {
  const { api, namespace, log } = needs;
  if (await isRecorded(api, namespace, signal)) return false;
  for (const { resource, object } of defaultObjects) {
    const created = await createUnlessPresent(api, resource, object, signal);
    log.info({ kind: resource.kind, name: object.metadata.name, created }, "default object");
  }
  const state = {
    metadata: { name: stateConfigMapName, namespace, labels: { [managedByLabel]: managedByValue } },
    data: { [createdKey]: "created" },
  };
  await api.apply(resources.configMaps, state, { force: true, signal });
  return true;
}

async function isRecorded(api: ClusterApi, namespace: string, signal: AbortSignal): Promise<boolean> {
  const address = { namespace, name: stateConfigMapName };
  const state = await unlessMissing(api.get(resources.configMaps, address, signal));
  return (state?.data as Record<string, string> | undefined)?.[createdKey] !== undefined;
}

async function createUnlessPresent(
  api: ClusterApi,
  resource: Resource,
  object: KubernetesObject,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await api.create(resource, object, { signal });
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.reason === "AlreadyExists") return false;
    throw error;
  }
}
