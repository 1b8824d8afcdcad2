import type { Clock } from "../clock.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { nodesToClear } from "../node/node-status.ts";
import type { NodesNow } from "../node/standing.ts";
import type { NodesRelease } from "../registry/removal.ts";

/** Nodes that are gone or NotReady are waited for so long, then named and skipped. */
const patienceMs = 60_000;

/**
 * How far the nodes are with removing what node access wrote, once LocalRegistry is being deleted. What is ordered
 * follows from the deletion itself (see planAccess); this only looks.
 */
export function createNodesRelease(needs: {
  readonly world: () => NodesNow;
  readonly clock: Clock;
}): (registry: KubernetesObject) => Promise<NodesRelease> {
  return async (registry) => {
    const { clearing, gone } = nodesToClear(needs.world());
    const sinceMs = Date.parse(registry.metadata.deletionTimestamp ?? "");
    const isPatient = !(needs.clock.nowMs() - sinceMs > patienceMs);
    const left = [...clearing, ...gone];
    return left.length > 0 && isPatient ? { kind: "waiting", nodes: left } : { kind: "released", skipped: left };
  };
}
