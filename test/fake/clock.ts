import { setImmediate as turn } from "node:timers/promises";
import { type Clock, systemClock } from "../../src/clock.ts";

/** A clock that stands still until it is told to move. Its wall clock may jump without the monotonic one. */
export type ManualClock = Clock & {
  /** Moves on, waking each sleeper at its time, and lets it act before the next is woken. */
  advance(durationMs: number): Promise<void>;
  /** Moves the wall clock alone. */
  jump(durationMs: number): void;
  /** Moves on without waking anybody, as a process does that is not scheduled. */
  freeze(durationMs: number): void;
  /** Resolves when at least `count` sleeps are pending that end within `withinMs` from now. */
  whenSleeping(count?: number, withinMs?: number): Promise<void>;
};

type Sleeper = { readonly atMs: number; readonly wake: () => void };

/** @param epochMs where the wall clock starts; the monotonic one starts at 1 000 */
export function createManualClock(epochMs = Date.UTC(2030, 0, 1)): ManualClock {
  let nowMs = 1_000;
  let offsetMs = epochMs - nowMs;
  const sleepers = new Set<Sleeper>();
  const watchers = new Set<() => void>();

  /** The earliest; of several the one that has slept longest. */
  const next = (untilMs: number): Sleeper | undefined => {
    let found: Sleeper | undefined;
    for (const sleeper of sleepers) {
      if (sleeper.atMs <= untilMs && (found === undefined || sleeper.atMs < found.atMs)) found = sleeper;
    }
    return found;
  };

  return {
    nowMs: () => nowMs + offsetMs,
    monotonicMs: () => nowMs,
    sleep(durationMs, signal) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      if (signal.aborted) {
        reject(signal.reason);
        return promise;
      }
      const onAbort = () => {
        sleepers.delete(sleeper);
        reject(signal.reason);
      };
      const wake = () => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      const sleeper: Sleeper = { atMs: nowMs + Math.max(0, durationMs), wake };
      sleepers.add(sleeper);
      signal.addEventListener("abort", onAbort, { once: true });
      for (const watcher of watchers) watcher();
      return promise;
    },
    async advance(durationMs) {
      const untilMs = nowMs + durationMs;
      await turn();
      for (let sleeper = next(untilMs); sleeper !== undefined; sleeper = next(untilMs)) {
        nowMs = Math.max(nowMs, sleeper.atMs);
        sleepers.delete(sleeper);
        sleeper.wake();
        await turn();
      }
      nowMs = untilMs;
      await turn();
    },
    jump(durationMs) {
      offsetMs += durationMs;
    },
    freeze(durationMs) {
      nowMs += durationMs;
    },
    whenSleeping(count = 1, withinMs = Number.POSITIVE_INFINITY) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const look = () => {
        const pending = [...sleepers].filter((sleeper) => sleeper.atMs - nowMs <= withinMs).length;
        if (pending < count) return;
        watchers.delete(look);
        resolve();
      };
      watchers.add(look);
      look();
      return promise;
    },
  };
}

/** The system's clock, some times as fast: a deadline of 30 s is over in 3 s at `factor` 10. */
export function createFastClock(factor: number): Clock {
  const epochMs = systemClock.nowMs();
  const startMs = systemClock.monotonicMs();
  const passedMs = () => (systemClock.monotonicMs() - startMs) * factor;
  return {
    nowMs: () => epochMs + passedMs(),
    monotonicMs: () => startMs + passedMs(),
    sleep: (durationMs, signal) => systemClock.sleep(durationMs / factor, signal),
  };
}

/** The system's clock, which can be set: by hand, by NTP, or since the machine was asleep. */
export function createJumpingClock(): Clock & {
  /** @param durationMs negative: back */
  jump(durationMs: number, which?: "wall" | "both"): void;
} {
  let wallMs = 0;
  let monotonicMs = 0;
  return {
    nowMs: () => systemClock.nowMs() + wallMs,
    monotonicMs: () => systemClock.monotonicMs() + monotonicMs,
    sleep: systemClock.sleep,
    jump(durationMs, which = "wall") {
      wallMs += durationMs;
      if (which === "both") monotonicMs += durationMs;
    },
  };
}
