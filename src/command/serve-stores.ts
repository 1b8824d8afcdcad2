import type { Registry } from "prom-client";
import type { Clock, Random } from "../clock.ts";
import type { ApiTransport } from "../cluster/api.ts";
import type { Component } from "../cluster/component.ts";
import { createReflector, type Reflector } from "../cluster/reflector.ts";
import { type Resource, resources } from "../cluster/resource.ts";
import {
  nodesConfigMapName,
  pullSecretName,
  pushSecretName,
  registryServiceName,
  webhookConfigurationName,
} from "../config/names.ts";
import type { Log } from "../log.ts";
import { type ObservedNamespace, type ObservedSecret, observeNamespace, observeSecret } from "../namespace/observed.ts";
import { type NodeView, projectNode } from "../node/node-view.ts";
import { type AccountView, projectAccount } from "../webhook/confined-accounts.ts";

/** Everything that a replica of serve watches: whole objects in slipway-system, metadata and projections elsewhere. */
export type ServeStores = {
  readonly namespaces: Reflector<ObservedNamespace>;
  readonly pullSecrets: Reflector<ObservedSecret>;
  readonly pushSecrets: Reflector<ObservedSecret> | undefined;
  readonly accounts: Reflector<AccountView>;
  readonly nodes: Reflector<NodeView>;
  /** Secrets of slipway-system: sources, our own, the compiled state. */
  readonly secrets: Reflector;
  readonly localRegistries: Reflector;
  readonly pullCredentials: Reflector;
  readonly imageRewrites: Reflector;
  /** Service `registry`, for its ClusterIP. */
  readonly services: Reflector;
  readonly endpointSlices: Reflector;
  /** ConfigMap `slipway-nodes`. */
  readonly verdicts: Reflector;
  /** Our own MutatingWebhookConfiguration: whoever takes its caBundle away gets it back at once. */
  readonly webhookConfigurations: Reflector;
  /** All of the above, to be run. */
  readonly components: readonly Component[];
  /** The names of those that have not been listed yet. */
  readonly unsynced: () => readonly string[];
};

export function createServeStores(needs: {
  readonly transport: ApiTransport;
  readonly namespace: string;
  readonly watchPushSecrets: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Registry;
}): ServeStores {
  const { transport, namespace, clock, random, log, metrics } = needs;
  const shared = { transport, clock, random, log, metrics };
  const whole = (
    resource: Resource,
    rest: { namespace?: string; fieldSelector?: string; labelSelector?: string } = {},
  ) => createReflector({ ...shared, resource, ...rest });
  const named = (name: string) => ({ fieldSelector: `metadata.name=${name}` });
  const secretsNamed = (name: string) =>
    createReflector({
      ...shared,
      resource: resources.secrets,
      ...named(name),
      metadataOnly: true,
      project: observeSecret,
    });

  const stores = {
    namespaces: createReflector({
      ...shared,
      resource: resources.namespaces,
      metadataOnly: true,
      project: observeNamespace,
    }),
    pullSecrets: secretsNamed(pullSecretName),
    accounts: createReflector({
      ...shared,
      resource: resources.serviceAccounts,
      metadataOnly: true,
      project: projectAccount,
    }),
    nodes: createReflector({ ...shared, resource: resources.nodes, project: projectNode }),
    secrets: whole(resources.secrets, { namespace }),
    localRegistries: whole(resources.localRegistries),
    pullCredentials: whole(resources.pullCredentials),
    imageRewrites: whole(resources.imageRewrites),
    services: whole(resources.services, { namespace, ...named(registryServiceName) }),
    endpointSlices: whole(resources.endpointSlices, {
      namespace,
      labelSelector: `kubernetes.io/service-name=${registryServiceName}`,
    }),
    verdicts: whole(resources.configMaps, { namespace, ...named(nodesConfigMapName) }),
    webhookConfigurations: whole(resources.mutatingWebhookConfigurations, named(webhookConfigurationName)),
  };
  const pushSecrets = needs.watchPushSecrets ? secretsNamed(pushSecretName) : undefined;
  const all = { ...stores, ...(pushSecrets === undefined ? {} : { pushSecrets }) };
  return {
    ...stores,
    pushSecrets,
    components: Object.values(all),
    unsynced: () => Object.entries(all).flatMap(([name, store]) => (store.hasSynced() ? [] : [name])),
  };
}
