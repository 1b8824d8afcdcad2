import type { Registry } from "prom-client";
import type { Clock, Random } from "../clock.ts";
import type { Log } from "../log.ts";
import { ApiError, type ApiTransport, type ListOptions } from "./api.ts";
import { backoffMs } from "./backoff.ts";
import type { Component } from "./component.ts";
import { listCollection } from "./list.ts";
import type { KubernetesObject } from "./object.ts";
import { createReflectedStore } from "./reflected-store.ts";
import { createReflectorMeter } from "./reflector-meter.ts";
import type { Resource } from "./resource.ts";
import type { ObservedStore } from "./store.ts";
import { untilAborted } from "./until-aborted.ts";
import { watchCollection } from "./watch.ts";
import type { WatchEvent } from "./watch-event.ts";

export type Reflector<T = KubernetesObject> = ObservedStore<T> &
  Component & {
    /** Clock.monotonicMs of the last complete list or the last bytes of the watch; 0 before the first. */
    lastActivityMs(): number;
    /** Resolves after the first complete list; rejects with the signal's reason. */
    whenSynced(signal: AbortSignal): Promise<void>;
    /** Called when the API server answers again after it did not; the handler only notes it. */
    onRecovered(handler: () => void): void;
  };

export type ReflectorNeeds<T> = {
  readonly transport: ApiTransport;
  readonly resource: Resource;
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** Ask for PartialObjectMetadata only. */
  readonly metadataOnly?: boolean;
  /** What is kept of each object. */
  readonly project?: (object: KubernetesObject) => T;
  /** Objects per page of a list; 5 000 unless given. */
  readonly pageSize?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Registry;
  /** Called at each activity, for a liveness check. */
  readonly onActivity?: () => void;
};

/**
 * Ten seconds after an outage at the latest all is known again. Jittered, and with one request for each collection, so
 * that what comes back is not met by a crowd: a dozen collections of two replicas make three requests a second.
 */
const retryRange = { minimumMs: 500, maximumMs: 10_000 };
const relistMs = 600_000;
/** After a regular list that failed, while the watch goes on. */
const relistAgainMs = 30_000;
/** A watch that lived so long, or delivered anything, was a good one: the next fault starts the back-off anew. */
const goodWatchMs = 10_000;
/** A server that closes at once what it has accepted is not asked again at once. */
const shortWatchMs = 1_000;
/** One request for most clusters, two for a large one; a page of metadata alone is a few megabytes. */
const defaultPageSize = 5_000;

/**
 * Keeps a copy of a collection: lists once, then watches from that version on, for ever. After an error it goes on
 * from the last version that it saw; after 410, in whichever form, it lists again. Every ten minutes it lists anyway
 * and corrects what a watch may have lost. Handlers get keys only, at changes only, the whole of a list being visible
 * to the first of them.
 *
 * `run` may be called again after it has ended; what was known stays known.
 *
 * @see docs/adr/0002-own-transport-and-reflector.md
 */
export function createReflector<T = KubernetesObject>(needs: ReflectorNeeds<T>): Reflector<T> {
  const { transport, resource, clock, random, log } = needs;
  const name = reflectorName(needs);
  const meter = createReflectorMeter(needs.metrics, name);
  const store = createReflectedStore<T>(needs.project ?? ((object) => object as unknown as T), (error, key) => {
    meter.handlerFailed();
    log.error({ err: error, reflector: name, key }, "a handler of a change failed");
  });
  const synced = Promise.withResolvers<void>();
  const selection: ListOptions = {
    ...(needs.namespace === undefined ? {} : { namespace: needs.namespace }),
    ...(needs.labelSelector === undefined ? {} : { labelSelector: needs.labelSelector }),
    ...(needs.fieldSelector === undefined ? {} : { fieldSelector: needs.fieldSelector }),
    ...(needs.metadataOnly === undefined ? {} : { metadataOnly: needs.metadataOnly }),
  };
  let activityMs = 0;
  /** Where to go on; undefined when only a list can tell. */
  let version: string | undefined;
  let relistAtMs = 0;
  let failures = 0;
  let isAway = false;
  const recoveryHandlers: (() => void)[] = [];

  const noteActivity = () => {
    activityMs = clock.monotonicMs();
    meter.active(clock.nowMs());
    needs.onActivity?.();
    if (!isAway) return;
    isAway = false;
    for (const handler of recoveryHandlers) handler();
  };

  const relist = async (signal: AbortSignal): Promise<void> => {
    const limit = needs.pageSize ?? defaultPageSize;
    const collection = await listCollection(transport, resource, selection, { limit, retry: false, signal });
    version = collection.resourceVersion;
    relistAtMs = clock.monotonicMs() + relistMs * (0.9 + 0.2 * random());
    meter.listed(collection.items.length);
    noteActivity();
    store.replace(collection.items);
    synced.resolve();
  };

  /** A list that is only a check must not keep us from watching. */
  const relistForCheck = async (signal: AbortSignal): Promise<void> => {
    try {
      await relist(signal);
    } catch (error) {
      if (signal.aborted) throw error;
      relistAtMs = clock.monotonicMs() + relistAgainMs * (1 + random());
      meter.failed("list");
      log.warn({ err: error, reflector: name }, "the regular list failed; the watch goes on");
    }
  };

  const accept = (event: WatchEvent): void => {
    meter.event(event.kind);
    if (event.kind === "error") throw event.error;
    if (event.kind === "unreadable") {
      const message = `watch of ${name}: a line is no event; the collection is listed again`;
      throw new ApiError({ status: 410, reason: "Unreadable", message });
    }
    failures = 0;
    if (event.kind === "set") store.set(event.object);
    if (event.kind === "delete") store.delete(event.object);
    version = event.resourceVersion;
  };

  /** @returns whether to go on without a pause */
  const watchOnce = async (resourceVersion: string, signal: AbortSignal): Promise<boolean> => {
    const openedAtMs = clock.monotonicMs();
    let eventsSeen = 0;
    const sink = {
      onActivity: noteActivity,
      onEvent(event: WatchEvent) {
        eventsSeen++;
        accept(event);
      },
    };
    const request = { resource, selection, resourceVersion, untilMs: relistAtMs, signal };
    const end = await watchCollection({ transport, clock, random }, request, sink);
    const livedMs = clock.monotonicMs() - openedAtMs;
    if (livedMs >= goodWatchMs) failures = 0;
    if (end.kind === "closed") return eventsSeen > 0 || livedMs >= shortWatchMs;
    if (end.kind === "due") return true;
    meter.failed(end.kind);
    const cause = end.kind === "broken" ? { err: end.cause } : {};
    log.debug({ ...cause, reflector: name }, `watch ${end.kind}; it goes on from the last version`);
    return end.kind === "silent";
  };

  /** @returns how long the server asks to be left alone, milliseconds */
  const noteFailure = (error: unknown): number => {
    const status = error instanceof ApiError ? error.status : 0;
    // 410: the version is too old; 400: the server cannot read it.
    const mustList = version === undefined || status === 410 || status === 400;
    if (mustList) version = undefined;
    isAway ||= status === 0 || status === 429 || status >= 500;
    meter.failed(mustList ? "expired" : "watch");
    const level = failures < 3 ? "info" : "warn";
    log[level]({ err: error, reflector: name, mustList }, "list or watch failed; it is tried again");
    return error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
  };

  /** At most one list and one watch. @returns undefined to go on without a pause, or the shortest one, milliseconds */
  const step = async (signal: AbortSignal): Promise<number | undefined> => {
    try {
      if (version === undefined) await relist(signal);
      else if (clock.monotonicMs() >= relistAtMs) await relistForCheck(signal);
      return version === undefined || (await watchOnce(version, signal)) ? undefined : 0;
    } catch (error) {
      return signal.aborted ? undefined : noteFailure(error);
    }
  };

  return {
    name,
    ...store.observed,
    lastActivityMs: () => activityMs,
    whenSynced: (signal) => untilAborted(synced.promise, signal),
    onRecovered: (handler) => void recoveryHandlers.push(handler),
    async run(stop) {
      while (!stop.aborted) {
        const atLeastMs = await step(stop);
        if (atLeastMs === undefined) continue;
        failures++;
        const pauseMs = Math.max(atLeastMs, backoffMs(failures, retryRange, random));
        await clock.sleep(pauseMs, stop).catch(() => undefined);
      }
    },
  };
}

/** What metrics and logs call it: `secrets`, `secrets in slipway-system`, `secrets where metadata.name=slipway-pull`. */
function reflectorName(
  needs: Pick<ReflectorNeeds<unknown>, "resource" | "namespace" | "labelSelector" | "fieldSelector">,
) {
  const selectors = [needs.labelSelector, needs.fieldSelector].filter((selector) => selector !== undefined);
  return [
    needs.resource.plural,
    ...(needs.namespace === undefined ? [] : ["in", needs.namespace]),
    ...(selectors.length === 0 ? [] : ["where", selectors.join(" and ")]),
  ].join(" ");
}
