import type { KubernetesObject } from "./object.ts";

/** `name`, or `namespace/name` for namespaced objects. */
export type ObjectKey = string;

export function objectKey(object: {
  readonly metadata: { readonly name: string; readonly namespace?: string };
}): ObjectKey {
  const { name, namespace } = object.metadata;
  return namespace === undefined || namespace === "" ? name : `${namespace}/${name}`;
}

/**
 * The read side of a reflector: what the domain folders see. `T` is the projection that the reflector keeps
 * (a whole object by default).
 */
export type ObservedStore<T = KubernetesObject> = {
  get(key: ObjectKey): T | undefined;
  list(): readonly T[];
  /** True after the first complete list. */
  hasSynced(): boolean;
  /** Called with the key of each object that was added, changed or removed; the handler only notes it. */
  onChange(handler: (key: ObjectKey) => void): void;
};
