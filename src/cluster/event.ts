import { createHash } from "node:crypto";
import type { Registry } from "prom-client";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import { ApiError, type ClusterApi } from "./api.ts";
import { withDeadline } from "./deadline.ts";
import { type ClusterEvent, describeEvent, eventAddress } from "./event-object.ts";
import { counterAt } from "./metric.ts";
import { formatMicroTime } from "./micro-time.ts";
import { resources } from "./resource.ts";
import { createTokenBucket, type TokenBucket } from "./token-bucket.ts";

export type { ClusterEvent } from "./event-object.ts";

export type EventRecorder = {
  /** Returns at once and never throws. */
  record(event: ClusterEvent): void;
  /** Resolves when nothing is being written. */
  flush(): Promise<void>;
};

export type EventRecorderNeeds = {
  readonly api: ClusterApi;
  /** E.g. `slipway.dev/serve`. */
  readonly reportingController: string;
  /** E.g. the pod's name; at most 128 bytes. */
  readonly reportingInstance: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Registry;
};

/** One event that was written and may come again. */
type Series = {
  readonly namespace: string;
  readonly name: string;
  count: number;
  lastSeenMs: number;
  lastWrittenMs: number;
  isWriting: boolean;
};

/** As client-go's spam filter: 25 at once for one object, then one in five minutes. */
const objectLimit = { burst: 25, perSecond: 1 / 300 };
/** A repetition is written at most so often; in between it is only counted. */
const seriesPauseMs = 30_000;
/** After so long without a repetition the next one is an Event of its own. */
const seriesEndMs = 600_000;
const rememberedLimit = 2_000;
const inFlightLimit = 50;
const writeTimeoutMs = 10_000;

/**
 * Events of events.k8s.io/v1. The same event again within ten minutes becomes a series with a count; each object has
 * a limit of its own; an Event about a cluster-scoped object goes to namespace `default`. What cannot be written within
 * ten seconds is counted (`slipway_events_dropped_total`) and forgotten: an Event must never fail what it tells about.
 *
 * @see https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
 */
export function createEventRecorder(needs: EventRecorderNeeds): EventRecorder {
  const { api, clock, log } = needs;
  const known = new Map<string, Series>();
  const buckets = new Map<string, TokenBucket>();
  const writing = new Set<Promise<void>>();
  const dropped = counterAt(needs.metrics, {
    name: "slipway_events_dropped_total",
    help: "Events that were not written",
    labelNames: ["cause"],
  });

  const isWithinLimit = (event: ClusterEvent): boolean => {
    const key = keyOf([...regardingKey(event)]);
    const bucket = buckets.get(key) ?? createTokenBucket(objectLimit, clock);
    remember(buckets, key, bucket);
    return bucket.tryTake();
  };

  const create = async (event: ClusterEvent, series: Series, signal: AbortSignal): Promise<void> => {
    const object = describeEvent(event, series, { ...needs, nowMs: clock.nowMs() });
    try {
      await api.create(resources.events, object, { retry: true, signal });
    } catch (error) {
      // The name is this Event's alone: a request that was repeated had arrived the first time.
      if (!(error instanceof ApiError && error.reason === "AlreadyExists")) throw error;
    }
  };

  const update = async (event: ClusterEvent, series: Series, signal: AbortSignal): Promise<void> => {
    const patch = { series: { count: series.count, lastObservedTime: formatMicroTime(clock.nowMs()) } };
    try {
      await api.merge(resources.events, { namespace: series.namespace, name: series.name }, patch, signal);
    } catch (error) {
      // Events end by themselves after an hour.
      if (!(error instanceof ApiError && error.status === 404)) throw error;
      await create(event, series, signal);
    }
  };

  const write = async (event: ClusterEvent, series: Series): Promise<void> => {
    series.isWriting = true;
    series.lastWrittenMs = clock.monotonicMs();
    try {
      const work = series.count === 1 ? create : update;
      const never = new AbortController().signal;
      await withDeadline(clock, writeTimeoutMs, never, (signal) => work(event, series, signal));
    } catch (error) {
      dropped.inc({ cause: "failed" });
      log.debug({ err: error, reason: event.reason, regarding: event.regarding.name }, "an Event could not be written");
    } finally {
      series.isWriting = false;
    }
  };

  const start = (event: ClusterEvent, series: Series): void => {
    if (writing.size >= inFlightLimit) {
      dropped.inc({ cause: "busy" });
      return;
    }
    const task = write(event, series).finally(() => writing.delete(task));
    writing.add(task);
  };

  const recordSafely = (event: ClusterEvent): void => {
    const key = keyOf([...regardingKey(event), event.type, event.reason, event.action, event.note]);
    const nowMs = clock.monotonicMs();
    const series = known.get(key);
    if (series === undefined || nowMs - series.lastSeenMs > seriesEndMs) {
      if (!isWithinLimit(event)) {
        dropped.inc({ cause: "limit" });
        return;
      }
      const begun = beginSeries(event, key, { nowMs, epochMs: clock.nowMs() });
      remember(known, key, begun);
      start(event, begun);
      return;
    }
    series.count++;
    series.lastSeenMs = nowMs;
    if (!series.isWriting && nowMs - series.lastWrittenMs >= seriesPauseMs) start(event, series);
  };

  return {
    record(event) {
      try {
        recordSafely(event);
      } catch (error) {
        dropped.inc({ cause: "failed" });
        log.warn({ err: error }, "an Event could not be built");
      }
    },
    async flush() {
      while (writing.size > 0) await Promise.all(writing);
    },
  };
}

function regardingKey({ regarding }: ClusterEvent): string[] {
  return [regarding.apiVersion, regarding.kind, regarding.namespace ?? "", regarding.name, regarding.uid ?? ""];
}

function keyOf(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/** Puts `key` last; the one that was used longest ago goes when there are too many. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.keys().next().value;
  if (map.size > rememberedLimit && oldest !== undefined) map.delete(oldest);
}

function beginSeries(
  event: ClusterEvent,
  key: string,
  now: { readonly nowMs: number; readonly epochMs: number },
): Series {
  return {
    ...eventAddress(event, `${key.slice(0, 8)}${now.epochMs.toString(16)}`),
    count: 1,
    lastSeenMs: now.nowMs,
    lastWrittenMs: now.nowMs,
    isWriting: false,
  };
}
