import type { GateVerdict, PodPlacement } from "../admission/world.ts";
import { resources } from "../cluster/resource.ts";
import type { NodeAccessMode } from "../config/local-registry.ts";
import { nodesConfigMapName, systemNamespace } from "../config/names.ts";
import { gateVerdict } from "../node/gate.ts";
import { projectNode } from "../node/node-view.ts";
import { type NodeVerdict, parseVerdict } from "../node/verdict.ts";
import type { ObjectSource } from "./object-source.ts";

/** The gate of node access by the nodes and verdicts that can be seen; open where they cannot. */
export async function findGate(
  source: ObjectSource,
  now: { readonly mode: NodeAccessMode | null; readonly nowMs: number },
  notes: string[],
): Promise<(placement: PodPlacement) => GateVerdict> {
  const { mode, nowMs } = now;
  const nodes = await source.list(resources.nodes);
  const found = await source.get(resources.configMaps, { namespace: systemNamespace, name: nodesConfigMapName });
  if (nodes === undefined || found.kind === "hidden") {
    notes.push("nodes or their verdicts cannot be read: every node is taken as one that reaches the registry");
    return (placement) => gateVerdict(placement, mode, { nodes: [], verdicts: new Map(), nowMs: 0, replicaStartMs: 0 });
  }
  const data = found.kind === "found" ? ((found.object.data ?? {}) as Readonly<Record<string, string>>) : {};
  const verdicts = new Map<string, NodeVerdict>();
  for (const [name, text] of Object.entries(data)) {
    const verdict = parseVerdict(text);
    if (verdict !== undefined) verdicts.set(name, verdict);
  }
  const world = { nodes: nodes.map(projectNode), verdicts, nowMs, replicaStartMs: 0 };
  return (placement) => gateVerdict(placement, mode, world);
}
