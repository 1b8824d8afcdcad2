import type { Component } from "../cluster/component.ts";
import { runUntil } from "../cluster/run-until.ts";

export type RunPhase = {
  readonly components: readonly Component[];
  /** Called when it is this phase's turn to stop, before its components are told. */
  readonly beforeStop?: () => void;
};

/**
 * Runs all phases together and stops them one after the other, the first phase first; each has ended before the next
 * is told. A fault in any of them stops all, in the same order, and is thrown at the end.
 */
export async function runInOrder(stop: AbortSignal, phases: readonly RunPhase[]): Promise<void> {
  const fault = new AbortController();
  const ending = AbortSignal.any([stop, fault.signal]);
  const running = phases.map((phase) => {
    const own = new AbortController();
    const ended = runUntil(own.signal, phase.components).catch((error: unknown) => {
      fault.abort(error);
      return error;
    });
    return { phase, own, ended };
  });
  if (!ending.aborted) await new Promise((resolve) => ending.addEventListener("abort", resolve, { once: true }));
  const faults: unknown[] = [];
  for (const { phase, own, ended } of running) {
    phase.beforeStop?.();
    own.abort(ending.reason);
    const outcome = await ended;
    if (outcome !== undefined) faults.push(outcome);
  }
  if (faults.length > 0) throw faults[0];
}
