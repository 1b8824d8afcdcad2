import { setTimeout as delay } from "node:timers/promises";
import { Registry } from "prom-client";
import { type Clock, systemClock } from "../../../src/clock.ts";
import { createTransport } from "../../../src/cluster/client.ts";
import { createEventRecorder } from "../../../src/cluster/event.ts";
import { createClusterApi } from "../../../src/cluster/kubernetes-api.ts";
import { createLease } from "../../../src/cluster/lease.ts";
import { runUntil } from "../../../src/cluster/run-until.ts";
import { createServeLeader } from "../../../src/command/serve-leader.ts";
import { createServeReplica, type ServeReplica } from "../../../src/command/serve-replica.ts";
import { createServeStores } from "../../../src/command/serve-stores.ts";
import { createLog } from "../../../src/log.ts";
import { type CountedTransport, countRequests } from "./cluster.ts";

/** A replica of serve that leads, put together as `slipway serve` does. */
export type RunningLeader = CountedTransport & {
  readonly replica: ServeReplica;
  readonly metrics: Registry;
  /** What ended it before `stop`, if anything did. */
  readonly failed: () => unknown;
  stop(): Promise<void>;
};

export type LeaderSettings = {
  /** Stand for election under this name; without it there is no lease, so that two can lead at once. */
  readonly identity?: string;
  readonly clock?: Clock;
  readonly credentialFiles?: string;
  /** Create LocalRegistry and ImageRewrite `default`. */
  readonly defaults?: boolean;
  readonly keyGraceMs?: number;
  /** Generations of the registry's key that all gateways report; their streams say so otherwise. */
  readonly accepted?: () => ReadonlySet<number> | undefined;
};

const log = createLog({ level: "silent" });

/** @param kubeconfig of the API server, or of a proxy before it */
export function startLeader(kubeconfig: string, settings: LeaderSettings = {}): RunningLeader {
  const metrics = new Registry();
  const shared = { clock: settings.clock ?? systemClock, random: Math.random, log, metrics };
  const transport = createTransport({ kubeconfig, ...shared });
  const counted = countRequests(transport);
  const api = createClusterApi(counted.transport);
  const namespace = "slipway-system";
  const events = createEventRecorder({
    ...shared,
    api,
    reportingController: "slipway.dev/serve",
    reportingInstance: "test",
  });
  const stores = createServeStores({
    ...shared,
    transport: counted.transport,
    namespace,
    watchPushSecrets: true,
  });
  const whole = createServeReplica({
    ...shared,
    stores,
    api,
    namespace,
    selection: { mode: "OptIn", excluded: [] },
    gatewayToken: () => Promise.reject(new Error("there is no gateway in this test")),
    events,
  });
  const { accepted } = settings;
  const replica = accepted === undefined ? whole : { ...whole, feed: { ...whole.feed, generations: accepted } };
  const leader = createServeLeader(replica, {
    images: { slipway: "slipway:test", registry: "registry:test" },
    defaults: settings.defaults === true,
    serveNames: [],
    credentialFiles: settings.credentialFiles ?? "/nonexistent",
    ...(settings.keyGraceMs === undefined ? {} : { keyGraceMs: settings.keyGraceMs }),
  });
  const stop = new AbortController();
  let failure: unknown;
  const running = runUntil(stop.signal, [
    ...stores.components,
    replica.feed,
    settings.identity === undefined
      ? { name: "leader", run: leader.lead }
      : createLease({ ...shared, api, namespace, name: "slipway", identity: settings.identity, lead: leader.lead }),
  ]).catch((error: unknown) => {
    failure = error;
  });
  return {
    ...counted,
    replica,
    metrics,
    failed: () => failure,
    async stop() {
      stop.abort();
      await running;
      await events.flush();
      await transport.close();
      if (failure !== undefined) throw failure;
    },
  };
}

/** Waits until `look` gives something; fails after `withinMs` with what it last found wrong. */
export async function within<T>(
  withinMs: number,
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const endMs = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > endMs) throw new Error(`did not happen in ${withinMs} ms: ${what}`);
    await delay(20);
  }
}
