import type { Clock } from "../clock.ts";

/** Keys that become due at a time each; the earlier of two times holds. */
export type DelayedKeys = {
  add(key: string, delayMs: number): void;
  /** Hands out what is due until the signal aborts; then everything is forgotten. */
  run(stop: AbortSignal): Promise<void>;
};

/**
 * One timer for all keys: it is set for the earliest, and set anew when an earlier one arrives.
 *
 * @param onDue gets each key once, at or after its time
 */
export function createDelayedKeys(clock: Clock, onDue: (key: string) => void): DelayedKeys {
  const dueAtMs = new Map<string, number>();
  let timerAtMs = Number.POSITIVE_INFINITY;
  let wake = new AbortController();

  const handOut = (): void => {
    const nowMs = clock.monotonicMs();
    for (const [key, atMs] of [...dueAtMs]) {
      if (atMs > nowMs) continue;
      dueAtMs.delete(key);
      onDue(key);
    }
  };

  return {
    add(key, delayMs) {
      const atMs = clock.monotonicMs() + Math.max(0, delayMs);
      if ((dueAtMs.get(key) ?? Number.POSITIVE_INFINITY) <= atMs) return;
      dueAtMs.set(key, atMs);
      if (atMs < timerAtMs) wake.abort();
    },
    async run(stop) {
      while (!stop.aborted) {
        handOut();
        wake = new AbortController();
        timerAtMs = [...dueAtMs.values()].reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
        // A day at most: timers take no infinity, and a look at an empty map costs nothing.
        const waitMs = Math.min(timerAtMs - clock.monotonicMs(), 86_400_000);
        await clock.sleep(Math.max(0, waitMs), AbortSignal.any([stop, wake.signal])).catch(() => undefined);
      }
      dueAtMs.clear();
      timerAtMs = Number.POSITIVE_INFINITY;
    },
  };
}
