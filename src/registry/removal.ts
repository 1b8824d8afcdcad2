import type { ClusterApi } from "../cluster/api.ts";
import type { EventRecorder } from "../cluster/event.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { WorkOutcome } from "../cluster/queue.ts";
import { apiVersionOf, resources } from "../cluster/resource.ts";
import { hostingConfigMapName, registryClaimName, systemNamespace } from "../config/names.ts";
import type { Log } from "../log.ts";
import type { ObjectWriter } from "./object-writer.ts";

/** Keeps LocalRegistry until nodes are clean and the hosted registry is gone. */
export const finalizer = "slipway.dev/local-registry";

/** Whether the nodes have removed what node access had written; see the node desk. */
export type NodesRelease =
  | { readonly kind: "waiting"; readonly nodes: readonly string[] }
  /** `skipped`: gone or NotReady for too long; their files are left behind. */
  | { readonly kind: "released"; readonly skipped: readonly string[] };

export type Removal = {
  /** Puts the finalizer on. */
  arm(registry: KubernetesObject, signal: AbortSignal): Promise<void>;
  /** One step of the deletion; to be called again until it returns `done`. */
  proceed(registry: KubernetesObject, signal: AbortSignal): Promise<WorkOutcome>;
};

const againMs = 1_000;

/**
 * The end of LocalRegistry: first the published document and the files on nodes, then the registry itself, the claim
 * only with `reclaimPolicy: Delete`, then the finalizer. Secrets stay until slipway-system goes: a registry that is
 * made anew on the same volume keeps its admin login.
 */
export function createRemoval(needs: {
  readonly api: ClusterApi;
  readonly writer: ObjectWriter;
  readonly events: EventRecorder;
  readonly log: Log;
  readonly namespace?: string;
  /** Asks the nodes to clean up, and tells how far they are. */
  readonly releaseNodes: (registry: KubernetesObject, signal: AbortSignal) => Promise<NodesRelease>;
}): Removal {
  const { api, writer, events, log, namespace = systemNamespace } = needs;

  async function setFinalizers(
    registry: KubernetesObject,
    finalizers: readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    const { name, resourceVersion } = registry.metadata;
    // The version guards the list, which a merge patch replaces as a whole.
    await api.merge(resources.localRegistries, { name }, { metadata: { finalizers, resourceVersion } }, signal);
  }

  function reportSkipped(registry: KubernetesObject, nodes: readonly string[]): void {
    if (nodes.length === 0) return;
    log.warn({ nodes }, "nodes did not clean up and are skipped");
    events.record({
      regarding: {
        apiVersion: apiVersionOf(resources.localRegistries),
        kind: "LocalRegistry",
        name: registry.metadata.name,
        uid: registry.metadata.uid,
      },
      type: "Warning",
      reason: "NodesSkipped",
      action: "Remove",
      note: `files of the registry may be left on nodes that are gone or not ready: ${nodes.join(", ")}`,
    });
  }

  return {
    async arm(registry, signal) {
      await setFinalizers(registry, [...(registry.metadata.finalizers ?? []), finalizer], signal);
    },
    async proceed(registry, signal) {
      const finalizers = registry.metadata.finalizers ?? [];
      if (!finalizers.includes(finalizer)) return { kind: "done" };
      const document = { namespace: "kube-public", name: hostingConfigMapName };
      await writer.remove(resources.configMaps, document, signal);
      const release = await needs.releaseNodes(registry, signal);
      if (release.kind === "waiting") {
        log.info({ nodes: release.nodes.slice(0, 20) }, "waiting for nodes to clean up");
        return { kind: "again", afterMs: againMs };
      }
      reportSkipped(registry, release.skipped);
      await writer.prune([], signal);
      if (reclaims(registry)) {
        await writer.remove(resources.persistentVolumeClaims, { namespace, name: registryClaimName }, signal);
      }
      const left = finalizers.filter((entry) => entry !== finalizer);
      await setFinalizers(registry, left, signal);
      return { kind: "done" };
    },
  };
}

function reclaims(registry: KubernetesObject): boolean {
  const spec = registry.spec as { readonly storage?: { readonly reclaimPolicy?: unknown } } | undefined;
  return spec?.storage?.reclaimPolicy === "Delete";
}
