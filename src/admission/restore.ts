import { isFault } from "../reference/fault.ts";
import { readReference } from "../reference/parse.ts";
import type { Reference } from "../reference/reference.ts";
import { isLocalName, makesLocally } from "./local-name.ts";
import type { PodRules } from "./rules.ts";
import type { LocalRegistryNames } from "./world.ts";

/**
 * Whether `result` is what our mapping makes of `origin`, tag and digest included: recomputed, under any name of the
 * local registry or a rule's target, whatever catalogue, gate and `when` say now. This is how a bare Pod that is applied
 * again keeps its references; an annotation, which users can write, is never asked.
 *
 * @param origin as a manifest has it
 * @param result as the pod has it
 */
export function isMadeOf(
  origin: unknown,
  result: unknown,
  { registry, rules }: { readonly registry: LocalRegistryNames | undefined; readonly rules: PodRules },
): boolean {
  const from = readText(origin);
  const to = readText(result);
  if (from === undefined || to === undefined) return false;
  if (registry !== undefined && makesLocally(registry, from, to)) return true;
  if (rules.makes(from, to)) return true;
  if (registry === undefined || !isLocalName(registry, to.registry) || isLocalName(registry, from.registry))
    return false;
  return registry.names.some((name) => rules.makes(from, { ...to, registry: name }));
}

function readText(value: unknown): Reference | undefined {
  if (typeof value !== "string") return undefined;
  const reference = readReference(value);
  return isFault(reference) ? undefined : reference;
}
