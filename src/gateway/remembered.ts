import type { KubernetesObject } from "../cluster/object.ts";
import type { ObjectKey, ObservedStore } from "../cluster/store.ts";

/** Reads an object again only when it is another one than last time: `read` may cost something or say something. */
export function remembered<T>(
  store: ObservedStore<KubernetesObject>,
  key: ObjectKey,
  read: (object: KubernetesObject | undefined) => T,
): () => T {
  let last: { readonly object: KubernetesObject | undefined; readonly value: T } | undefined;
  return () => {
    const object = store.get(key);
    if (last === undefined || last.object !== object) last = { object, value: read(object) };
    return last.value;
  };
}
