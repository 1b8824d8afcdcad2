import type { ObservedStore } from "../../src/cluster/store.ts";

/** The keys that a store has told of, to wait for. */
export type ChangeLog = {
  readonly keys: readonly string[];
  /** Resolves at the next telling of `key` that was not waited for before. */
  next(key: string): Promise<void>;
  /** Looks now and after every change. */
  until(condition: () => boolean): Promise<void>;
  clear(): void;
};

export function recordChanges(store: Pick<ObservedStore<unknown>, "onChange">): ChangeLog {
  const keys: string[] = [];
  const unread: string[] = [];
  const looks = new Set<() => void>();
  store.onChange((key) => {
    keys.push(key);
    unread.push(key);
    for (const look of looks) look();
  });
  const until = (condition: () => boolean): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      if (!condition()) return;
      looks.delete(look);
      resolve();
    };
    looks.add(look);
    look();
    return promise;
  };
  return {
    keys,
    until,
    next: (key) =>
      until(() => {
        const at = unread.indexOf(key);
        if (at === -1) return false;
        unread.splice(at, 1);
        return true;
      }),
    clear() {
      keys.length = 0;
      unread.length = 0;
    },
  };
}
