import type { Registry } from "prom-client";
import type { Clock, Random } from "../clock.ts";
import type { Log } from "../log.ts";
import { ApiError } from "./api.ts";
import { backoffMs } from "./backoff.ts";
import type { Component } from "./component.ts";
import { createDelayedKeys } from "./delayed-keys.ts";
import { createKeyLine } from "./key-line.ts";
import { counterAt, gaugeAt, secondsAt } from "./metric.ts";

export type WorkOutcome = { readonly kind: "done" } | { readonly kind: "again"; readonly afterMs: number };

export type Queue = Component & {
  /** Asks for one run of `key`; one that waits already is not queued twice. Urgent keys go first. */
  add(key: string, options?: { readonly urgent?: boolean }): void;
  /** As add, but not before `delayMs`; the earlier of two delays holds. */
  addAfter(key: string, delayMs: number): void;
  /** Keys that wait or run; delayed ones are not counted. */
  size(): number;
};

export type QueueNeeds = {
  readonly name: string;
  /** Does what `key` needs. What it throws is logged and leads to another run, later each time. */
  readonly work: (key: string, signal: AbortSignal) => Promise<WorkOutcome>;
  /** How many keys are worked on at the same time. */
  readonly workers: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Registry;
};

const retryRange = { minimumMs: 5, maximumMs: 300_000 };
/** With every key that fails the longest pause grows, so that all of them together ask no more than 100 times a second. */
const outage = { maximumMs: 10_000, perKeyMs: 20 };

/**
 * A work queue with the semantics of client-go's: a key never runs twice at once, one that is added while it runs runs
 * once more afterwards, failures back off per key (5 ms to 5 min, jittered, never before an ApiError's Retry-After).
 * What fails because the API server is in trouble (no answer, 429, 500 and above) is no fault of the key: it backs off
 * to 10 s only, and 20 ms more for each key that fails, so that all is done soon after the trouble is over.
 *
 * Keys may be added before `run`. At the stop, running work gets the signal and is awaited, and what waits is dropped;
 * `run` may be called again.
 *
 * @see https://pkg.go.dev/k8s.io/client-go/util/workqueue
 */
export function createQueue(needs: QueueNeeds): Queue {
  const { name, work, clock, random, log } = needs;
  const urgent = createKeyLine();
  const ordinary = createKeyLine();
  const running = new Map<string, Promise<void>>();
  /** Added while running: true for urgent. */
  const dirty = new Map<string, boolean>();
  const failures = new Map<string, number>();
  const meter = createMeter(needs.metrics, name, () => urgent.size + ordinary.size);
  let stopped: AbortSignal | undefined;
  const delayed = createDelayedKeys(clock, (key) => add(key));

  const add = (key: string, options?: { readonly urgent?: boolean }): void => {
    const isUrgent = options?.urgent === true;
    if (running.has(key)) {
      dirty.set(key, isUrgent || dirty.get(key) === true);
      return;
    }
    if (isUrgent) {
      ordinary.delete(key);
      urgent.add(key);
    } else if (!urgent.has(key)) ordinary.add(key);
    startWork();
  };

  const startWork = (): void => {
    while (stopped !== undefined && !stopped.aborted && running.size < needs.workers) {
      const key = urgent.take() ?? ordinary.take();
      if (key === undefined) break;
      running.set(key, runOne(key, stopped));
    }
    meter.depth();
  };

  const runOne = async (key: string, signal: AbortSignal): Promise<void> => {
    const startedAtMs = clock.monotonicMs();
    // A turn of the event loop's microtasks, so that `running` knows the key before the work can add it again.
    await Promise.resolve();
    try {
      const outcome = await work(key, signal);
      failures.delete(key);
      if (outcome.kind === "again") delayed.add(key, outcome.afterMs);
    } catch (error) {
      if (!signal.aborted) retryLater(key, error);
    }
    meter.worked(clock.monotonicMs() - startedAtMs);
    running.delete(key);
    const again = dirty.get(key);
    dirty.delete(key);
    if (again !== undefined && !signal.aborted) add(key, { urgent: again });
    startWork();
  };

  const retryLater = (key: string, error: unknown): void => {
    const count = (failures.get(key) ?? 0) + 1;
    failures.set(key, count);
    const retryAfterMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    const maximumMs = isOutage(error) ? outage.maximumMs + outage.perKeyMs * failures.size : retryRange.maximumMs;
    const range = { ...retryRange, maximumMs: Math.min(maximumMs, retryRange.maximumMs) };
    const delayMs = Math.max(retryAfterMs, backoffMs(count, range, random));
    meter.failed();
    log.warn({ err: error, queue: name, key, failures: count, retryInMs: Math.round(delayMs) }, "work failed");
    delayed.add(key, delayMs);
  };

  return {
    name: `queue ${name}`,
    add,
    addAfter: (key, delayMs) => delayed.add(key, delayMs),
    size: () => urgent.size + ordinary.size + running.size,
    async run(stop) {
      stopped = stop;
      startWork();
      await delayed.run(stop);
      while (running.size > 0) await Promise.all(running.values());
      stopped = undefined;
      for (const keys of [urgent, ordinary, dirty, failures]) keys.clear();
      meter.depth();
    },
  };
}

function isOutage(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500);
}

function createMeter(registry: Registry, queue: string, waiting: () => number) {
  const depth = gaugeAt(registry, { name: "slipway_queue_depth", help: "Keys that wait", labelNames: ["queue"] });
  const seconds = secondsAt(registry, {
    name: "slipway_queue_work_seconds",
    help: "Duration of one run of a key",
    labelNames: ["queue"],
  });
  const failures = counterAt(registry, {
    name: "slipway_queue_failures_total",
    help: "Runs of a key that failed and are tried again",
    labelNames: ["queue"],
  });
  return {
    depth: () => depth.set({ queue }, waiting()),
    worked: (durationMs: number) => seconds.observe({ queue }, durationMs / 1000),
    failed: () => failures.inc({ queue }),
  };
}
