import { excludedNamespaces, injectLabel } from "../config/names.ts";
import type { ObservedNamespace } from "./observed.ts";

/** Which namespaces Slipway serves: the same rule as the webhook's namespaceSelector. */
export type NamespaceSelection = {
  /** `OptIn`: the label `slipway.dev/inject: enabled` is asked for. `OptOut`: every namespace without `disabled`. */
  readonly mode: "OptIn" | "OptOut";
  /** Further namespaces that are never served, beside kube-system, slipway-system and slipway-node. */
  readonly excluded: readonly string[];
};

export const optInSelection: NamespaceSelection = { mode: "OptIn", excluded: [] };

/** Whether a namespace is served. Terminating ones are, too: what is done with them is decided elsewhere. */
export function isOptedIn(
  namespace: Pick<ObservedNamespace, "name" | "labels">,
  selection: NamespaceSelection,
): boolean {
  const { name, labels } = namespace;
  if ((excludedNamespaces as readonly string[]).includes(name) || selection.excluded.includes(name)) return false;
  const label = labels[injectLabel];
  return selection.mode === "OptIn" ? label === "enabled" : label !== "disabled";
}
