import type { GateVerdict, PodPlacement } from "../admission/world.ts";
import type { NodeAccessMode } from "../config/local-registry.ts";
import type { NodeView } from "./node-view.ts";
import { mayLandOn } from "./placement.ts";
import { type NodesNow, standingOf } from "./standing.ts";

const osLabel = "kubernetes.io/os";

/**
 * Whether a pod's references may point at the local registry, by the nodes that it may land on: one of them that
 * fails closes the gate. Pending nodes, new nodes and no nodes at all do not; `when: Always` ignores the verdict.
 *
 * @param mode the chosen mode; null: open, since nothing is rewritten to `local` before the first choice anyhow
 * @returns closed with node `*` in mode None, where no node has access
 */
export function gateVerdict(placement: PodPlacement, mode: NodeAccessMode | null, world: NodesNow): GateVerdict {
  if (mode === null) return { kind: "open" };
  if (mode === "None")
    return { kind: "closed", node: "*", reason: "node access is None: no node reaches the registry" };
  for (const node of world.nodes) {
    const standing = standingOf(node, mode, world);
    if (standing.kind !== "failing" || !mayLandOn(placement, node)) continue;
    if (isWindows(node) && !onlyWindows(placement, world.nodes)) continue;
    return { kind: "closed", node: node.name, reason: `${standing.reason}: ${standing.message}` };
  }
  return { kind: "open" };
}

/** The agent runs on Linux only, and a pod that does not ask for Windows is a Linux pod that would not run there. */
function onlyWindows(placement: PodPlacement, nodes: readonly NodeView[]): boolean {
  return nodes.every((node) => isWindows(node) || !mayLandOn(placement, node));
}

function isWindows(node: NodeView): boolean {
  return node.labels[osLabel] === "windows";
}
