import { createMemoryStore } from "./memory-store.ts";
import type { KubernetesObject } from "./object.ts";
import { type ObjectKey, type ObservedStore, objectKey } from "./store.ts";

/** The writing side of a reflector's store: objects in, changes out. */
export type ReflectedStore<T> = {
  readonly observed: ObservedStore<T>;
  set(object: KubernetesObject): void;
  delete(object: KubernetesObject): void;
  /** Makes `objects` the whole content; handlers hear of what is new, gone, or of another resourceVersion. */
  replace(objects: readonly KubernetesObject[]): void;
};

/**
 * @param project what is kept; an object that it cannot read stays as it was known before
 * @param onError gets what a handler or `project` throws
 */
export function createReflectedStore<T>(
  project: (object: KubernetesObject) => T,
  onError: (error: unknown, key: ObjectKey) => void,
): ReflectedStore<T> {
  const store = createMemoryStore<T>([], onError);
  const versions = new Map<ObjectKey, string | undefined>();

  /** @returns the change that this object means, if any */
  const take = (object: KubernetesObject): { readonly key: ObjectKey; readonly value: T } | undefined => {
    const key = objectKey(object);
    const { resourceVersion } = object.metadata;
    if (versions.has(key) && versions.get(key) === resourceVersion) return undefined;
    versions.set(key, resourceVersion);
    try {
      return { key, value: project(object) };
    } catch (error) {
      onError(error, key);
      return undefined;
    }
  };

  return {
    observed: { get: store.get, list: store.list, hasSynced: store.hasSynced, onChange: store.onChange },
    set(object) {
      const change = take(object);
      if (change !== undefined) store.set(change.key, change.value);
    },
    delete(object) {
      const key = objectKey(object);
      versions.delete(key);
      store.delete(key);
    },
    replace(objects) {
      const changes = new Map<ObjectKey, T | undefined>();
      const present = new Set(objects.map(objectKey));
      for (const key of [...versions.keys()]) {
        if (present.has(key)) continue;
        versions.delete(key);
        if (store.get(key) !== undefined) changes.set(key, undefined);
      }
      for (const object of objects) {
        const change = take(object);
        if (change !== undefined) changes.set(change.key, change.value);
      }
      store.markSynced();
      store.change(changes);
    },
  };
}
