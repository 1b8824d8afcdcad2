import { Gauge, type Registry } from "prom-client";
import type { Clock } from "../clock.ts";
import type { Component } from "../cluster/component.ts";
import type { Check } from "./operations.ts";

/** Measures how late the event loop is; `check` is for `/readyz`. */
export type LoopLag = Component & { readonly check: Check };

const periodMs = 1_000;
/** A process this late answers admission too late as well. */
const limitMs = 1_000;

export function createLoopLag(needs: { readonly clock: Clock; readonly metrics: Registry }): LoopLag {
  const { clock } = needs;
  let lagMs = 0;
  const gauge = new Gauge({
    name: "slipway_event_loop_lag_seconds",
    help: "How late the event loop was at the last look",
    registers: [needs.metrics],
  });
  return {
    name: "event loop lag",
    check: () => (lagMs < limitMs ? undefined : `the event loop is ${Math.round(lagMs)} ms late`),
    async run(stop) {
      while (!stop.aborted) {
        const dueMs = clock.monotonicMs() + periodMs;
        try {
          await clock.sleep(periodMs, stop);
        } catch (error) {
          if (!stop.aborted) throw error;
          return;
        }
        lagMs = Math.max(0, clock.monotonicMs() - dueMs);
        gauge.set(lagMs / 1_000);
      }
    },
  };
}
