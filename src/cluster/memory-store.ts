import type { KubernetesObject } from "./object.ts";
import type { ObjectKey, ObservedStore } from "./store.ts";

/** An ObservedStore that is filled from outside: by a reflector, or by hand. */
export type MemoryStore<T = KubernetesObject> = ObservedStore<T> & {
  /** Adds or changes one, then calls the handlers. */
  set(key: ObjectKey, value: T): void;
  /** Removes one, then calls the handlers; nothing happens when there is none. */
  delete(key: ObjectKey): void;
  /** Makes many changes visible at once (`undefined` removes), then calls the handlers for each. */
  change(changes: ReadonlyMap<ObjectKey, T | undefined>): void;
  /** From now on hasSynced() is true. */
  markSynced(): void;
};

/**
 * @param initial what it holds from the start, without a call of the handlers
 * @param onHandlerError gets what a handler throws, after which the other handlers go on; thrown on unless given
 */
export function createMemoryStore<T = KubernetesObject>(
  initial: Iterable<readonly [ObjectKey, T]> = [],
  onHandlerError: (error: unknown, key: ObjectKey) => void = rethrow,
): MemoryStore<T> {
  const values = new Map(initial);
  const handlers: ((key: ObjectKey) => void)[] = [];
  let listed: readonly T[] | undefined;
  let synced = false;

  const call = (handler: (key: ObjectKey) => void, key: ObjectKey) => {
    try {
      handler(key);
    } catch (error) {
      onHandlerError(error, key);
    }
  };
  const change = (changes: ReadonlyMap<ObjectKey, T | undefined>) => {
    listed = undefined;
    for (const [key, value] of changes) {
      if (value === undefined) values.delete(key);
      else values.set(key, value);
    }
    for (const key of changes.keys()) for (const handler of handlers) call(handler, key);
  };

  return {
    get: (key) => values.get(key),
    list() {
      listed ??= [...values.values()];
      return listed;
    },
    hasSynced: () => synced,
    onChange: (handler) => void handlers.push(handler),
    set: (key, value) => change(new Map([[key, value]])),
    delete(key) {
      if (values.has(key)) change(new Map([[key, undefined]]));
    },
    change,
    markSynced() {
      synced = true;
    },
  };
}

function rethrow(error: unknown): never {
  throw error;
}
