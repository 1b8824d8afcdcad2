import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../../src/clock.ts";
import type { ClusterEvent } from "../../../src/cluster/event.ts";
import type { KubernetesObject } from "../../../src/cluster/object.ts";
import { resources } from "../../../src/cluster/resource.ts";
import type { Condition } from "../../../src/config/condition.ts";
import type { LocalRegistrySpec } from "../../../src/config/local-registry.ts";
import { createManifestApplier, readManifests } from "../../../src/dev/manifests.ts";
import { createStatusWriter } from "../../../src/leader/status.ts";
import { createLog } from "../../../src/log.ts";
import { optInSelection } from "../../../src/namespace/selection.ts";
import { createObjectWriter } from "../../../src/registry/object-writer.ts";
import { createLocalRegistryReconciler, type LocalRegistryReconcilerNeeds } from "../../../src/registry/reconcile.ts";
import { createRemoval, type NodesRelease } from "../../../src/registry/removal.ts";
import { signal, startRealApiServer } from "../cluster/api-server.ts";

const namespace = "slipway-system";
const crds = fileURLToPath(new URL("../../../manifests/crds", import.meta.url));

/**
 * A real API server with our CRDs, the namespace slipway-system and StorageClass `fast`, and the reconciler of
 * LocalRegistry with everything beside it that it needs. No controllers run: what they do, the test does.
 */
export async function startReconcilerStage() {
  const server = await startRealApiServer();
  const { api } = server;
  await createManifestApplier(server).apply(await readManifests(crds), signal);
  await api.create(resources.namespaces, { metadata: { name: namespace } }, { signal });
  const storageClass = { metadata: { name: "fast" }, provisioner: "example.com/none", allowVolumeExpansion: true };
  await api.create(resources.storageClasses, storageClass, { signal });
  const events: ClusterEvent[] = [];
  let released: NodesRelease = { kind: "released", skipped: [] };

  function reconciler(changes: Partial<LocalRegistryReconcilerNeeds> = {}) {
    const log = createLog({ level: "silent" });
    const writer = createObjectWriter({ api, namespace });
    const recorder = { record: (event: ClusterEvent) => void events.push(event), flush: async () => undefined };
    const removal = createRemoval({ api, writer, events: recorder, log, releaseNodes: async () => released });
    return createLocalRegistryReconciler({
      api,
      writer,
      removal,
      status: createStatusWriter({ api, clock: systemClock }),
      events: recorder,
      images: { slipway: "registry.example.com/slipway:0.1.0", registry: "registry:3.1.1" },
      selection: optInSelection,
      tokenAuthority: () => "pem",
      hasCertificate: () => true,
      clientTrust: () => "pem",
      client: () => ({ tryUpload: async () => undefined }),
      catalogue: () => ({ state: { kind: "live" }, fault: undefined }),
      nodes: () => ({
        nodes: { mode: "HostsToml", ready: 1, total: 1, summary: "1/1" },
        condition: { type: "NodesReady", status: "True", reason: "AllNodesPass", message: "" },
      }),
      nodeAddress: () => undefined,
      bytesUsed: () => undefined,
      checkWebhook: async () => ({ kind: "mutated" }),
      randomBytes,
      clock: systemClock,
      log,
      ...changes,
    });
  }

  const address = { name: "default" };
  const read = () => api.get(resources.localRegistries, address, signal);
  const get = (of: keyof typeof resources, name: string): Promise<KubernetesObject> =>
    api.get(resources[of], { namespace, name }, signal);
  const condition = async (type: string): Promise<Condition | undefined> => {
    const { conditions = [] } = (await read()).status as { readonly conditions?: readonly Condition[] };
    return conditions.find((each) => each.type === type);
  };
  return {
    server,
    namespace,
    events,
    reconciler,
    read,
    get,
    condition,
    release(next: NodesRelease): void {
      released = next;
    },
    create: (spec: LocalRegistrySpec) => api.create(resources.localRegistries, { metadata: address, spec }, { signal }),
    /** A merge patch of the spec. */
    patch: (spec: object) => api.merge(resources.localRegistries, address, { spec }, signal),
    readyReason: async () => (await condition("Ready"))?.reason,
    async remove(): Promise<void> {
      await api.delete(resources.localRegistries, address, { signal });
      assert.deepEqual(await reconciler().reconcile("default", signal), { kind: "done" });
      await assert.rejects(read(), { status: 404 });
    },
    /** What the Deployment's controller and kubelet do. */
    async makeAvailable(): Promise<void> {
      const deployment = await get("deployments", "registry");
      const { replicas = 1 } = deployment.spec as { readonly replicas?: number };
      const status = {
        observedGeneration: deployment.metadata.generation,
        replicas,
        updatedReplicas: replicas,
        readyReplicas: replicas,
        availableReplicas: replicas,
      };
      await api.replace(resources.deployments, { ...deployment, status }, { subresource: "status", signal });
    },
  };
}

export type ReconcilerStage = Awaited<ReturnType<typeof startReconcilerStage>>;
