import { randomUUID } from "node:crypto";
import express from "express";
import { collectDefaultMetrics, Registry } from "prom-client";
import { systemClock } from "../clock.ts";
import type { ClusterApi } from "../cluster/api.ts";
import { createTransport } from "../cluster/client.ts";
import type { Component } from "../cluster/component.ts";
import { createEventRecorder } from "../cluster/event.ts";
import type { ClusterSource } from "../cluster/kubeconfig.ts";
import { createClusterApi } from "../cluster/kubernetes-api.ts";
import { createLease } from "../cluster/lease.ts";
import { resources } from "../cluster/resource.ts";
import { createTokenReviewer } from "../cluster/token-review.ts";
import { leaseName, serveCertificateSecretName } from "../config/names.ts";
import { SlipwayError } from "../errors.ts";
import { createErrorHandler } from "../http/error-handler.ts";
import { createLoopLag } from "../http/loop-lag.ts";
import { createNodeRoute } from "../http/node-route.ts";
import { type Checks, createOperationsServer } from "../http/operations.ts";
import { createHttpsServer } from "../http/server.ts";
import type { Log } from "../log.ts";
import type { NamespaceSelection } from "../namespace/selection.ts";
import { createSecretCertificateSource } from "../tls/serving-certificate.ts";
import { createMutateHandler } from "../webhook/mutate-route.ts";
import { runInOrder } from "./run-in-order.ts";
import { createServeLeader, type LeaderOptions } from "./serve-leader.ts";
import { createServeReplica } from "./serve-replica.ts";
import { createServeStores } from "./serve-stores.ts";

/** Everything that can be set; `slipway dev` builds one by hand. */
export type ServeOptions = Omit<LeaderOptions, "images"> & {
  readonly cluster: ClusterSource;
  readonly namespace: string;
  readonly listen: { readonly port: number; readonly host?: string; readonly lingerMs?: number };
  readonly operations: { readonly port: number; readonly host?: string };
  readonly selection: NamespaceSelection;
  readonly pushSecrets: boolean;
  readonly identity: string;
  /** undefined: the image of our own Pod, `identity`, read from the API. */
  readonly image: string | undefined;
  readonly registryImage: string;
  readonly gatewayToken: () => Promise<string>;
  /** How long a look at a pull Secret inside admission may take, see ensure.ts. */
  readonly ensureLimitMs?: number | undefined;
};

/** Where a running serve listens, and whether it is ready: for whoever runs it in its own process. */
export type ServeProbe = { readonly ready: Checks; readonly operationsPort: () => number | undefined };

/**
 * Runs serve until `stop`. Stop order: the controllers end and the lease is released, readiness goes, the webhook
 * drains, then the caches and the connections to the API server close.
 *
 * @param onStarted called once everything has been put together, before anything runs
 */
export async function runServe(
  options: ServeOptions,
  log: Log,
  stop: AbortSignal,
  onStarted: (probe: ServeProbe) => void = () => {},
): Promise<void> {
  const clock = systemClock;
  const random = Math.random;
  const metrics = new Registry();
  const stopDefaultMetrics = startDefaultMetrics(metrics);
  const transport = createTransport({ ...options.cluster, clock, random, log, metrics });
  const api = createClusterApi(transport);
  const { namespace } = options;
  const events = createEventRecorder({
    api,
    reportingController: "slipway.dev/serve",
    reportingInstance: options.identity,
    clock,
    log,
    metrics,
  });
  const stores = createServeStores({
    transport,
    namespace,
    watchPushSecrets: options.pushSecrets,
    clock,
    random,
    log,
    metrics,
  });
  const replica = createServeReplica({
    stores,
    api,
    namespace,
    selection: options.selection,
    gatewayToken: options.gatewayToken,
    events,
    ensureLimitMs: options.ensureLimitMs,
    clock,
    random,
    log,
    metrics,
  });
  const image = options.image ?? (await ownImage(api, options, AbortSignal.any([stop, AbortSignal.timeout(30_000)])));
  const leader = createServeLeader(replica, {
    ...options,
    images: { slipway: image, registry: options.registryImage },
  });
  const lease = createLease({
    api,
    namespace,
    name: leaseName,
    identity: `${options.identity}_${randomUUID()}`,
    clock,
    random,
    log,
    metrics,
    lead: leader.lead,
  });
  const certificate = createSecretCertificateSource({
    secrets: stores.secrets,
    key: `${namespace}/${serveCertificateSecretName}`,
  });
  const server = createHttpsServer({
    name: "webhook",
    handler: createServeApp({ replica, api, log, metrics }),
    ...options.listen,
    certificate,
    limits: {
      connectionsPerClient: 4_096,
      ...(options.listen.lingerMs === undefined ? {} : { lingerMs: options.listen.lingerMs }),
    },
    log,
    clock,
    onDrain: replica.desk.drain,
  });
  const lag = createLoopLag({ clock, metrics });
  const startedAtMs = clock.monotonicMs();
  let isStopping = false;
  const ready: Checks = {
    stopping: () => (isStopping ? "this replica is stopping" : undefined),
    caches: () => {
      const missing = stores.unsynced();
      return missing.length === 0 ? undefined : `not read yet: ${missing.join(", ")}`;
    },
    listening: () => (server.ready() ? undefined : "there is no certificate yet, or the port is not open"),
    compiled: () => (replica.compiled() === undefined ? "no leader has compiled rules and credentials yet" : undefined),
    catalogue: () => catalogueCheck(replica, clock.monotonicMs() - startedAtMs),
    eventLoop: lag.check,
  };
  const operations = createOperationsServer({ ...options.operations, live: {}, ready, metrics, log });
  const confinedAccounts: Component = {
    name: "confined accounts",
    run: async (signal) => {
      replica.confined.follow(signal);
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    },
  };
  onStarted({ ready, operationsPort: operations.port });
  try {
    await runInOrder(stop, [
      { components: [lease] },
      { components: [server], beforeStop: () => (isStopping = true) },
      { components: [replica.feed, confinedAccounts, ...stores.components] },
      { components: [operations, lag] },
    ]);
  } finally {
    stopDefaultMetrics();
    await events.flush();
    await transport.close();
  }
}

/** The express application behind port 8443. */
function createServeApp(needs: {
  readonly replica: ReturnType<typeof createServeReplica>;
  readonly api: ClusterApi;
  readonly log: Log;
  readonly metrics: Registry;
}) {
  const { replica, log, metrics } = needs;
  const { clock } = replica;
  const app = express().disable("x-powered-by").disable("etag");
  app.all("/mutate", createMutateHandler({ decide: replica.decide, clock, log, metrics }));
  app.all("/node", createNodeRoute({ desk: replica.desk, reviewer: createTokenReviewer(needs.api), clock, log }));
  app.use((_request, response) => {
    response.status(404).type("text/plain").send("slipway serve answers /mutate and /node\n");
  });
  app.use(createErrorHandler(log));
  return app;
}

const catalogueWaitMs = 20_000;

/** Ready after the catalogue was read once, at most 20 s late, and at once where there is nothing to read. */
function catalogueCheck(replica: ReturnType<typeof createServeReplica>, upForMs: number): string | undefined {
  const { feed } = replica;
  if (feed.hasReadOnce() || !feed.hasSource() || upForMs > catalogueWaitMs) return undefined;
  return "the registry's catalogue has not been read yet";
}

async function ownImage(
  api: ClusterApi,
  { namespace, identity }: Pick<ServeOptions, "namespace" | "identity">,
  signal: AbortSignal,
): Promise<string> {
  const pod = await api.get(resources.pods, { namespace, name: identity }, signal);
  const containers = (pod.spec as { containers?: readonly { name?: unknown; image?: unknown }[] } | undefined)
    ?.containers;
  const image = containers?.find((container) => container.name === "serve")?.image ?? containers?.[0]?.image;
  if (typeof image === "string" && image !== "") return image;
  throw new SlipwayError("CONFIG_INVALID", `Pod ${namespace}/${identity} names no image; set --image`);
}

function startDefaultMetrics(metrics: Registry): () => void {
  collectDefaultMetrics({ register: metrics });
  return () => metrics.clear();
}
