import type { Registry } from "prom-client";
import type { Clock, Random } from "../clock.ts";
import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { Component } from "../cluster/component.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { createQueue } from "../cluster/queue.ts";
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

const firstTryMs = 5_000;

/**
 * One try before anything is compiled, so that nothing is Ready without them.
 *
 * @returns false when it failed: then createDefaults is to go on, and nothing else waits for it
 */
export async function tryDefaults(
  needs: Parameters<typeof createDefaultsOnce>[0],
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await createDefaultsOnce(needs, AbortSignal.any([signal, AbortSignal.timeout(firstTryMs)]));
    return true;
  } catch (error) {
    if (!signal.aborted) needs.log.warn({ err: error }, "the default objects were not created yet; it is tried again");
    return false;
  }
}

/** The same, tried again until the API server has answered. */
export function createDefaults(needs: {
  readonly api: ClusterApi;
  readonly namespace: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Registry;
}): Component {
  const { clock, random, log, metrics } = needs;
  const work = async (_key: string, signal: AbortSignal) => {
    await createDefaultsOnce(needs, signal);
    return { kind: "done" as const };
  };
  const queue = createQueue({ name: "defaults", workers: 1, work, clock, random, log, metrics });
  return {
    name: "defaults",
    async run(stop) {
      queue.add("defaults");
      await queue.run(stop);
    },
  };
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
