import type { KubernetesObject } from "../cluster/object.ts";
import type { ObservedStore } from "../cluster/store.ts";
import { validateLocalRegistry } from "../config/custom-resource.ts";
import { defaultSharedRepositories } from "../config/local-registry.ts";
import type { Log } from "../log.ts";
import { remembered } from "./remembered.ts";

/** What the gateway reads of LocalRegistry `default`. */
export type RegistryView = { readonly sharedRepositories: readonly string[]; readonly readOnly: boolean };

/** Without a LocalRegistry the defaults hold; one that is not valid changes nothing. */
export function createRegistryView(needs: {
  readonly localRegistries: ObservedStore<KubernetesObject>;
  readonly log: Log;
}): () => RegistryView {
  let good: RegistryView = { sharedRepositories: defaultSharedRepositories, readOnly: false };
  return remembered(needs.localRegistries, "default", (object) => {
    const validated = validateLocalRegistry(object ?? { metadata: { name: "default" } });
    if (validated.kind === "invalid") {
      needs.log.error({ problem: validated.problem }, "LocalRegistry is not valid; the last good one holds");
      return good;
    }
    const { auth, maintenance } = validated.spec;
    good = {
      sharedRepositories: auth?.sharedRepositories ?? defaultSharedRepositories,
      readOnly: maintenance?.readOnly ?? false,
    };
    return good;
  });
}
