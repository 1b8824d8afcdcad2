import { setTimeout as delay } from "node:timers/promises";

/** Time, handed in wherever a decision depends on it, so that tests own it. */
export type Clock = {
  /** Wall clock, milliseconds since the epoch: for what is written down. */
  nowMs(): number;
  /** Monotonic milliseconds: for every duration and deadline. */
  monotonicMs(): number;
  /** Resolves after `durationMs`; rejects with the signal's reason when it aborts first. */
  sleep(durationMs: number, signal: AbortSignal): Promise<void>;
};

/** Chance, handed in: a number in [0, 1), as Math.random gives. */
export type Random = () => number;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (durationMs, signal) => delay(Math.max(0, Math.ceil(durationMs)), undefined, { signal }),
};
