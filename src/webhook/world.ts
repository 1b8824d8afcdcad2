import { compileRules } from "../admission/rules.ts";
import type { AdmissionWorld, GateVerdict, PodPlacement } from "../admission/world.ts";
import { wantsPullSecret } from "../namespace/injection.ts";
import type { ObservedNamespace } from "../namespace/observed.ts";
import { parseReference } from "../reference/parse.ts";
import type { Presence } from "../registry/presence.ts";
import type { CompiledView, DerivedState } from "./compiled-view.ts";
import type { ConfinedAccounts } from "./confined-accounts.ts";

export type WorldNeeds = {
  readonly view: Pick<CompiledView, "current">;
  readonly presence: (namespace: string) => Presence;
  readonly gate: (placement: PodPlacement) => GateVerdict;
  readonly confined: Pick<ConfinedAccounts, "isConfined">;
};

/** Puts together what admission knows about one namespace at this moment, all of it from memory. */
export function createWorldBuilder(
  needs: WorldNeeds,
): (namespace: ObservedNamespace) => Omit<AdmissionWorld, "secret"> {
  return (namespace) => {
    const state = needs.view.current();
    const { name, labels } = namespace;
    return {
      namespace: { name, labels },
      rules: state?.rules ?? noRules,
      registry: state?.registry,
      wantsSecret: (images) => state !== undefined && wantsSecret(state, namespace, images),
      present: needs.presence(name),
      gate: needs.gate,
      isConfined: (account) => needs.confined.isConfined(name, account),
    };
  };
}

const noRules = compileRules([]);

function wantsSecret(state: DerivedState, namespace: ObservedNamespace, images: readonly string[]): boolean {
  return wantsPullSecret(state.compiled, namespace, images.flatMap(imageName));
}

/** What cannot be read uses no login: kubelet refuses it before it looks for one. */
function imageName(image: string): readonly { readonly host: string; readonly path: string }[] {
  try {
    const { registry, path } = parseReference(image);
    return [{ host: registry, path }];
  } catch {
    return [];
  }
}
