import type { Registry } from "prom-client";
import type { Clock, Random } from "../clock.ts";
import type { ClusterApi } from "../cluster/api.ts";
import type { Component } from "../cluster/component.ts";
import { createQueue, type WorkOutcome } from "../cluster/queue.ts";
import { resources } from "../cluster/resource.ts";
import type { NodeAccessMode } from "../config/local-registry.ts";
import { notReadyTaint } from "../config/names.ts";
import type { Log } from "../log.ts";
import type { NodeView } from "./node-view.ts";
import { type NodesNow, standingOf } from "./standing.ts";

/** Time alone can decide, so a tainted node is looked at again. */
const lookMs = 15_000;

/**
 * Whether a node may lose the taint: it passes in the mode in force, or there is nothing to wait for.
 *
 * @param mode None: no registry, or no node access; null: not chosen yet
 */
export function mayLoseTaint(node: NodeView, mode: NodeAccessMode | null, world: NodesNow): boolean {
  if (mode === null || !isTainted(node)) return false;
  return mode === "None" || standingOf(node, mode, world).kind === "passing";
}

function isTainted({ taints }: NodeView): boolean {
  return taints.some(({ key }) => key === notReadyTaint);
}

/**
 * Takes the taint `slipway.dev/not-ready` off every node that passes, with the resourceVersion that was read: a taint
 * that somebody else adds at the same moment is not lost.
 */
export function createTaintRemoval(needs: {
  readonly api: Pick<ClusterApi, "get" | "merge">;
  readonly world: () => NodesNow;
  readonly mode: () => NodeAccessMode | null;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Registry;
}): Component & { touch(): void } {
  async function remove(name: string, signal: AbortSignal): Promise<WorkOutcome> {
    const known = needs.world().nodes.find((node) => node.name === name);
    if (known === undefined || !isTainted(known)) return { kind: "done" };
    if (!mayLoseTaint(known, needs.mode(), needs.world())) return { kind: "again", afterMs: lookMs };
    const node = await needs.api.get(resources.nodes, { name }, signal);
    const found = (node.spec as { readonly taints?: unknown } | undefined)?.taints;
    const taints = Array.isArray(found) ? found : [];
    const left = taints.filter((taint: { readonly key?: unknown } | null) => taint?.key !== notReadyTaint);
    if (left.length === taints.length || node.metadata.uid !== known.uid) return { kind: "done" };
    const { resourceVersion } = node.metadata;
    await needs.api.merge(resources.nodes, { name }, { metadata: { resourceVersion }, spec: { taints: left } }, signal);
    needs.log.info({ node: name, taint: notReadyTaint }, "the node passes; its taint is removed");
    return { kind: "done" };
  }

  const queue = createQueue({ name: "node-taint", work: remove, workers: 4, ...needs });
  const touch = (): void => {
    for (const node of needs.world().nodes) if (isTainted(node)) queue.add(node.name);
  };
  return {
    name: "node taint",
    touch,
    async run(stop) {
      touch();
      await queue.run(stop);
    },
  };
}
