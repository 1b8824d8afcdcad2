import type { NodeAccessMode } from "../config/local-registry.ts";
import { type ContractVerdict, contractResult } from "./contract-verdict.ts";
import type { NodeView } from "./node-view.ts";
import { failuresToClose, type ModeVerdict, type NodeVerdict } from "./verdict.ts";

/** A node that has been Ready for so long without passing counts as failing. */
export const graceMs = 120_000;

/** Where a node stands in one mode. */
export type Standing =
  | { readonly kind: "passing" }
  /** New, or failed less than three times: nothing is concluded from it. */
  | { readonly kind: "pending"; readonly reason: string; readonly message: string }
  | { readonly kind: "failing"; readonly reason: string; readonly message: string };

/** Nodes of which the leader wrote down that they were Ready for two minutes without passing in `mode`: name → uid. */
export type OverdueNodes = { readonly mode: NodeAccessMode; readonly nodes: ReadonlyMap<string, string> };

/** All that is known of the nodes at one moment. */
export type NodesNow = {
  readonly nodes: readonly NodeView[];
  /** By node name. */
  readonly verdicts: ReadonlyMap<string, NodeVerdict>;
  /** What contract checks found, by node name; absent: none was made. */
  readonly contracts?: ReadonlyMap<string, ContractVerdict>;
  /** Absent: none. */
  readonly overdue?: OverdueNodes | undefined;
  readonly nowMs: number;
  /** When this replica of serve started. */
  readonly replicaStartMs: number;
};

/**
 * The rule of the gate for one node: it fails after three failed checks in `mode`, or when it has been Ready for two
 * minutes without passing, counted from the later of node Ready and this replica's start, unless the leader has written
 * down before that those are over. A node that passes by its
 * agent fails all the same when kubelet could not pull there in a contract check, which tries three times by itself.
 */
export function standingOf(node: NodeView, mode: NodeAccessMode, world: NodesNow): Standing {
  const verdict = verdictOf(node, world.verdicts);
  const entry = verdict?.modes[mode];
  const contract = contractResult(node, mode, world.contracts);
  if (entry?.passing === true) {
    if (contract?.outcome !== "failed") return { kind: "passing" };
    return { kind: "failing", reason: contract.reason, message: contract.message };
  }
  const said = whatIsKnown(entry, verdict !== undefined, mode);
  if (entry !== undefined && entry.failures >= failuresToClose) return { kind: "failing", ...said };
  return { kind: isOverdue(node, mode, world) ? "failing" : "pending", ...said };
}

/** Whether a node that does not pass has had its two minutes, in this replica's eyes or in an earlier leader's. */
export function isOverdue(node: NodeView, mode: NodeAccessMode, world: NodesNow): boolean {
  if (node.readySinceMs === undefined) return false;
  if (readyFor(node, world) >= graceMs) return true;
  const { overdue } = world;
  return overdue?.mode === mode && node.uid !== "" && overdue.nodes.get(node.name) === node.uid;
}

/** The verdict of a node, unless it is of an earlier node of the same name. */
export function verdictOf(node: NodeView, verdicts: ReadonlyMap<string, NodeVerdict>): NodeVerdict | undefined {
  const verdict = verdicts.get(node.name);
  if (verdict === undefined) return undefined;
  return verdict.uid === "" || node.uid === "" || verdict.uid === node.uid ? verdict : undefined;
}

/** Milliseconds that this replica has seen the node Ready; -1 while it is not. */
export function readyFor(node: NodeView, world: Pick<NodesNow, "nowMs" | "replicaStartMs">): number {
  if (node.readySinceMs === undefined) return -1;
  return world.nowMs - Math.max(node.readySinceMs, world.replicaStartMs);
}

function whatIsKnown(
  entry: ModeVerdict | undefined,
  hasReported: boolean,
  mode: NodeAccessMode,
): { readonly reason: string; readonly message: string } {
  if (entry !== undefined) return { reason: entry.reason, message: entry.message };
  if (hasReported) return { reason: "NotTried", message: `the node agent has not reported on ${mode} yet` };
  return {
    reason: "NoAgent",
    message: "no node agent has reported; look at the pods of DaemonSet node-agent in slipway-node",
  };
}
