import type { KubernetesObject } from "../cluster/object.ts";
import type { ObservedStore } from "../cluster/store.ts";
import { validateLocalRegistry } from "../config/custom-resource.ts";
import type { LocalRegistrySpec } from "../config/local-registry.ts";

/** LocalRegistry `default` as everything but its own status sees it. */
export type ObservedRegistry =
  /** Not listed yet, or invalid without a good version seen before: nobody acts on it. */
  | { readonly kind: "unknown" }
  /** There is none, or it is being deleted: what was made for it goes. */
  | { readonly kind: "absent" }
  /** The spec as it is, or the last good one while it is invalid. */
  | { readonly kind: "present"; readonly spec: LocalRegistrySpec };

/**
 * Follows LocalRegistry `default`. An edit that makes it invalid changes nothing but its status: nodes and references
 * must not be taken back because of a misspelt field.
 */
export function createRegistrySpecView(localRegistries: ObservedStore<KubernetesObject>): () => ObservedRegistry {
  let lastGood: LocalRegistrySpec | undefined;
  let seen: KubernetesObject | undefined;
  return () => {
    if (!localRegistries.hasSynced()) return { kind: "unknown" };
    const object = localRegistries.get("default");
    if (object === undefined || object.metadata.deletionTimestamp !== undefined) {
      lastGood = undefined;
      seen = undefined;
      return { kind: "absent" };
    }
    if (object !== seen) {
      seen = object;
      const validated = validateLocalRegistry(object);
      if (validated.kind === "valid") lastGood = validated.spec;
    }
    return lastGood === undefined ? { kind: "unknown" } : { kind: "present", spec: lastGood };
  };
}
