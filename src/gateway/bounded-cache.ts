import type { Clock } from "../clock.ts";

/** Remembers values for a time, and never more than a number of them: the oldest go first. */
export type BoundedCache<T> = {
  get(key: string): T | undefined;
  set(key: string, value: T, lifeMs: number): void;
};

export function createBoundedCache<T>(needs: { readonly clock: Clock; readonly maxEntries: number }): BoundedCache<T> {
  const entries = new Map<string, { readonly value: T; readonly untilMs: number }>();
  return {
    get(key) {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      if (needs.clock.monotonicMs() < entry.untilMs) return entry.value;
      entries.delete(key);
      return undefined;
    },
    set(key, value, lifeMs) {
      entries.delete(key);
      entries.set(key, { value, untilMs: needs.clock.monotonicMs() + lifeMs });
      const [oldest] = entries.keys();
      if (entries.size > needs.maxEntries && oldest !== undefined) entries.delete(oldest);
    },
  };
}
