import type { Registry } from "prom-client";
import type { Clock, Random } from "../clock.ts";
import { ApiError, type ApiTransport, type ClusterApi } from "../cluster/api.ts";
import type { Component } from "../cluster/component.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { createQueue, type WorkOutcome } from "../cluster/queue.ts";
import { resources } from "../cluster/resource.ts";
import type { ObservedStore } from "../cluster/store.ts";
import type { Log } from "../log.ts";
import { emptyNamespace } from "./empty-namespace.ts";

/**
 * Stands in for the two jobs of kube-controller-manager without which an API server alone is of little use: each
 * namespace gets its ServiceAccount `default`, and a Terminating namespace is emptied and finalized. That is all: no
 * garbage collection, no quota, no other controller.
 *
 * @param needs.api needs the rights of an administrator
 * @param needs.namespaces all namespaces, whole objects
 * @see https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/
 */
export function createNamespaceKeeper(needs: {
  readonly api: ClusterApi;
  readonly transport: ApiTransport;
  readonly namespaces: ObservedStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Registry;
}): Component {
  /** Uids of the namespaces that have their account: one that is made again under the same name has another. */
  const kept = new Set<string>();

  const work = async (name: string, signal: AbortSignal): Promise<WorkOutcome> => {
    const namespace = needs.namespaces.get(name);
    const uid = namespace?.metadata.uid ?? "";
    if (namespace === undefined) return { kind: "done" };
    if (namespace.metadata.deletionTimestamp !== undefined) {
      await finalize(needs, namespace, signal);
    } else if (!kept.has(uid)) {
      await createDefaultAccount(needs.api, name, signal);
      kept.add(uid);
    }
    return { kind: "done" };
  };

  const { clock, random, log, metrics } = needs;
  const queue = createQueue({ name: "dev-namespaces", work, workers: 4, clock, random, log, metrics });
  needs.namespaces.onChange((key) => queue.add(key));
  return {
    name: "namespace keeper",
    async run(stop) {
      for (const namespace of needs.namespaces.list()) queue.add(namespace.metadata.name);
      await queue.run(stop);
    },
  };
}

async function createDefaultAccount(api: ClusterApi, namespace: string, signal: AbortSignal): Promise<void> {
  try {
    await api.create(resources.serviceAccounts, { metadata: { name: "default", namespace } }, { signal });
  } catch (error) {
    if (!(error instanceof ApiError && ["AlreadyExists", "NotFound"].includes(error.reason))) throw error;
  }
}

async function finalize(
  needs: { readonly api: ClusterApi; readonly transport: ApiTransport },
  namespace: KubernetesObject,
  signal: AbortSignal,
): Promise<void> {
  await emptyNamespace(needs.transport, namespace.metadata.name, signal);
  const finalized = { ...namespace, spec: { finalizers: [] } };
  try {
    await needs.api.replace(resources.namespaces, finalized, { subresource: "finalize", signal });
  } catch (error) {
    if (!(error instanceof ApiError && error.reason === "NotFound")) throw error;
  }
}
