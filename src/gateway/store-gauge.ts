import { Gauge, type Registry } from "prom-client";
import type { Clock } from "../clock.ts";
import type { Component } from "../cluster/component.ts";
import type { Log } from "../log.ts";

export type StoreGauge = Component & {
  /** What the store held at the last measurement; undefined before the first, and when the last one failed. */
  bytes(): number | undefined;
  /** Something was stored or deleted: measures again when that has ended. */
  touch(): void;
};

/** A start has more urgent things to do. */
const firstDelayMs = 10_000;
const periodMs = 600_000;
/** A push is over when nothing has come for so long. */
const quietMs = 30_000;
/** The longest walk still leaves the volume alone nineteen twentieths of the time. */
const restFactor = 19;

/**
 * Measures the store soon after the start, every ten minutes, and when pushes have ended; never twice at once. A
 * measurement that fails makes the answer unknown, never 0.
 */
export function createStoreGauge(needs: {
  /** See store-size.ts. */
  readonly measure: (signal: AbortSignal) => Promise<number>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Registry;
}): StoreGauge {
  const { clock, log } = needs;
  let bytes: number | undefined;
  /** When something was stored last, if that was after the last measurement began. */
  let touchedMs: number | undefined;
  registerGauge(needs.metrics, () => bytes);

  async function measure(stop: AbortSignal): Promise<void> {
    touchedMs = undefined;
    try {
      bytes = await needs.measure(stop);
    } catch (error) {
      if (stop.aborted) return;
      bytes = undefined;
      log.warn({ err: error }, "the registry's storage could not be measured");
    }
  }

  return {
    name: "store gauge",
    bytes: () => bytes,
    touch() {
      touchedMs = clock.monotonicMs();
    },
    async run(stop) {
      let restedMs = clock.monotonicMs() + firstDelayMs;
      let dueMs = restedMs;
      const leftMs = () => {
        const nextMs = touchedMs === undefined ? dueMs : Math.min(dueMs, Math.max(touchedMs + quietMs, restedMs));
        return nextMs - clock.monotonicMs();
      };
      while (!stop.aborted) {
        const waitMs = leftMs();
        if (waitMs > 0) {
          await clock.sleep(Math.min(waitMs, quietMs), stop).catch(() => undefined); // the loop looks at `stop`
          continue;
        }
        const beganMs = clock.monotonicMs();
        await measure(stop);
        const endedMs = clock.monotonicMs();
        restedMs = endedMs + (endedMs - beganMs) * restFactor;
        dueMs = Math.max(restedMs, endedMs + periodMs);
      }
    },
  };
}

function registerGauge(metrics: Registry, bytes: () => number | undefined): void {
  new Gauge({
    name: "slipway_gateway_store_bytes",
    help: "Sizes of all files of the registry's storage; absent while unknown",
    registers: [metrics],
    collect() {
      const known = bytes();
      if (known === undefined) this.remove();
      else this.set(known);
    },
  });
}
