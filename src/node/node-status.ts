import type { Condition } from "../config/condition.ts";
import type { LocalRegistryStatus, NodeAccessMode } from "../config/local-registry.ts";
import type { AccessPlan } from "./access-plan.ts";
import { contractResult } from "./contract-verdict.ts";
import type { NodeView } from "./node-view.ts";
import { type NodesNow, standingOf } from "./standing.ts";
import type { Failure } from "./strategy.ts";

const failingLimit = 20;

export type NodesStatus = {
  readonly nodes: NonNullable<LocalRegistryStatus["nodes"]>;
  /** Without transition time and generation, which the writer of the status adds. */
  readonly condition: Pick<Condition, "type" | "status" | "reason" | "message">;
};

/**
 * `status.nodes` and condition NodesReady of LocalRegistry. Windows nodes, on which no agent runs, are not counted.
 * A pending node is neither ready nor failing.
 */
export function nodesStatus(plan: AccessPlan, world: NodesNow): NodesStatus {
  const nodes = world.nodes.filter((node) => node.labels["kubernetes.io/os"] !== "windows");
  const mode = plan.mode;
  const standings = mode === null ? [] : nodes.map((node) => ({ node, standing: standingOf(node, mode, world) }));
  const ready = standings.filter(({ standing }) => standing.kind === "passing").length;
  const failing = standings.flatMap(({ node, standing }) => {
    const { reason, message } = standing.kind === "failing" ? standing : exposureOf(node, mode, world);
    return reason === "" ? [] : [{ name: node.name, reason: `${reason}: ${message}` }];
  });
  const counts = { ready, total: nodes.length, summary: `${ready}/${nodes.length}` };
  return {
    nodes: {
      ...(mode === null ? {} : { mode }),
      ...counts,
      ...(failing.length === 0 ? {} : { failing: failing.toSorted(byName).slice(0, failingLimit) }),
    },
    condition: { type: "NodesReady", ...conditionOf(plan, counts, failing) },
  };
}

/** A node on which another namespace could pull is ready and a fault at once: its pods work, isolation does not. */
function exposureOf(node: NodeView, mode: NodeAccessMode | null, world: NodesNow): Failure {
  const contract = mode === null ? undefined : contractResult(node, mode, world.contracts);
  return contract?.outcome === "exposed" ? contract : { reason: "", message: "" };
}

function conditionOf(
  plan: AccessPlan,
  counts: { readonly ready: number; readonly total: number },
  failing: readonly { readonly name: string; readonly reason: string }[],
): Pick<Condition, "status" | "reason" | "message"> {
  const { ready, total } = counts;
  if (plan.mode === null) return { status: "Unknown", reason: "NotChosen", message: plan.reason };
  if (plan.mode === "None") return { status: "False", reason: "NoAccess", message: plan.reason };
  const summary = `${ready} of ${total} nodes reach the registry by ${plan.mode} (${plan.reason})`;
  const first = failing.toSorted(byName)[0];
  if (first !== undefined) {
    const more = failing.length > 1 ? `, and ${failing.length - 1} more` : "";
    return { status: "False", reason: "NodesFailing", message: `${summary}; ${first.name}: ${first.reason}${more}` };
  }
  if (ready < total) return { status: "Unknown", reason: "NodesPending", message: summary };
  return { status: "True", reason: "AllNodesPass", message: summary };
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}

/**
 * The nodes that still hold something of ours after removal was ordered: what the finalizer of LocalRegistry waits
 * for. Nodes that never reported have nothing.
 *
 * @returns `gone` nodes are NotReady: they are waited for 60 s, then named and skipped
 */
export function nodesToClear(world: Pick<NodesNow, "nodes" | "verdicts">): {
  readonly clearing: readonly string[];
  readonly gone: readonly string[];
} {
  const left = world.nodes.filter((node) => holdsSomething(node, world.verdicts));
  return {
    clearing: left.filter((node) => node.readySinceMs !== undefined).map((node) => node.name),
    gone: left.filter((node) => node.readySinceMs === undefined).map((node) => node.name),
  };
}

function holdsSomething(node: NodeView, verdicts: NodesNow["verdicts"]): boolean {
  const verdict = verdicts.get(node.name);
  if (verdict === undefined) return false;
  return !verdict.removed.includes("HostsToml") || !verdict.removed.includes("LoopbackProxy");
}
