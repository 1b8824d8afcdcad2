import type { LocalRegistrySpec, NodeAccessMode } from "../config/local-registry.ts";
import { type AutoState, chooseMode, noAutoState } from "./choose.ts";
import { nodeAccessModes } from "./report.ts";
import type { NodesNow } from "./standing.ts";

/** What nodes have to serve and to remove: every mode is in exactly one of the lists. */
export type AccessPlan = {
  /** The chosen one first. */
  readonly modes: readonly NodeAccessMode[];
  readonly remove: readonly NodeAccessMode[];
  /** The mode in force; null until Auto has chosen for the first time. */
  readonly mode: NodeAccessMode | null;
  /** Why, for status. */
  readonly reason: string;
};

/**
 * What follows from `nodeAccess`. Under Auto, modes that are tried and modes that were ever chosen stay served, since
 * pods keep the reference that they were admitted with; an explicit mode removes all others, and so does the end of
 * LocalRegistry.
 *
 * @param spec null when there is no LocalRegistry, or it is being deleted
 */
export function planAccess(spec: LocalRegistrySpec | null, auto: AutoState): AccessPlan {
  if (spec === null) return plan([], null, "there is no LocalRegistry");
  const wanted = spec.nodeAccess ?? "Auto";
  if (wanted !== "Auto") return plan([wanted], wanted, `nodeAccess is ${wanted}`);
  const tried = nodeAccessModes.filter((mode) => auto.triedSinceMs[mode] !== undefined);
  const chosen = auto.mode === null || auto.mode === "None" ? [] : [auto.mode];
  return plan([...chosen, ...auto.used, ...tried], auto.mode, `Auto: ${auto.reason}`);
}

/**
 * What the leader remembers next. While `nodeAccess` names a mode, that mode is remembered, so that a change to Auto
 * goes on with it until another one is better by Auto's own rules.
 */
export function nextAuto(spec: LocalRegistrySpec | null, previous: AutoState, world: NodesNow): AutoState {
  if (spec === null) return noAutoState;
  const wanted = spec.nodeAccess ?? "Auto";
  if (wanted === "Auto") return chooseMode(previous, world);
  if (wanted === "None") return noAutoState;
  return { ...noAutoState, mode: wanted, used: [wanted], reason: `nodeAccess was ${wanted}` };
}

function plan(modes: readonly NodeAccessMode[], mode: NodeAccessMode | null, reason: string): AccessPlan {
  const kept = [...new Set(modes)];
  return { modes: kept, remove: nodeAccessModes.filter((entry) => !kept.includes(entry)), mode, reason };
}
