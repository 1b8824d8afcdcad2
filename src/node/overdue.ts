import { isRecord } from "../cluster/narrow.ts";
import type { NodeAccessMode } from "../config/local-registry.ts";
import { isNodeAccessMode } from "./report.ts";
import { isOverdue, type NodesNow, type OverdueNodes, verdictOf } from "./standing.ts";
import { failuresToClose } from "./verdict.ts";

/**
 * The nodes that have been Ready for two minutes without passing. The leader writes them down, since a replica that
 * has just started has not seen those two minutes: without it each restart of serve would open the gate anew.
 * A node leaves the list when it passes or is no longer Ready. Nodes that failed three checks have that in their verdict.
 */
export function overdueNodes(mode: NodeAccessMode | null, world: NodesNow): OverdueNodes | null {
  if (mode === null || mode === "None") return null;
  const late = world.nodes.filter((node) => {
    const entry = verdictOf(node, world.verdicts)?.modes[mode];
    if (entry?.passing === true || (entry?.failures ?? 0) >= failuresToClose) return false;
    return isOverdue(node, mode, world);
  });
  if (late.length === 0) return null;
  const sorted = late.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return { mode, nodes: new Map(sorted.map(({ name, uid }) => [name, uid])) };
}

/** The text kept in ConfigMap `slipway-nodes`; the same nodes give the same text. */
export function formatOverdue({ mode, nodes }: OverdueNodes): string {
  return JSON.stringify({ mode, nodes: Object.fromEntries(nodes) });
}

/** @returns undefined for no text or one that is none: the two minutes are then counted anew */
export function parseOverdue(text: string | undefined): OverdueNodes | undefined {
  const value = text === undefined ? undefined : parseJson(text);
  if (!isRecord(value) || !isNodeAccessMode(value.mode) || !isRecord(value.nodes)) return undefined;
  const nodes = Object.entries(value.nodes).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return { mode: value.mode, nodes: new Map(nodes) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Edited by hand: the leader writes it again.
    return undefined;
  }
}
