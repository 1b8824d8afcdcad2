import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../../src/clock.ts";
import type { ClusterEvent } from "../../../src/cluster/event.ts";
import { resources } from "../../../src/cluster/resource.ts";
import type { Condition } from "../../../src/config/condition.ts";
import type { LocalRegistrySpec } from "../../../src/config/local-registry.ts";
import { createManifestApplier, readManifests } from "../../../src/dev/manifests.ts";
import { createStatusWriter } from "../../../src/leader/status.ts";
import { createLog } from "../../../src/log.ts";
import { optInSelection } from "../../../src/namespace/selection.ts";
import { readRegistryKeys } from "../../../src/registry/keys.ts";
import { createObjectWriter } from "../../../src/registry/object-writer.ts";
import { createLocalRegistryReconciler, type LocalRegistryReconcilerNeeds } from "../../../src/registry/reconcile.ts";
import { RegistryError } from "../../../src/registry/registry-error.ts";
import { createRemoval, type NodesRelease } from "../../../src/registry/removal.ts";
import { createSelfSigned } from "../../fake/self-signed.ts";
import { type RealApiServer, signal, startRealApiServer } from "../cluster/api-server.ts";

const namespace = "slipway-system";
const crds = fileURLToPath(new URL("../../../manifests/crds", import.meta.url));

describe("the reconciler of LocalRegistry at a real API server", () => {
  let server: RealApiServer;
  const events: ClusterEvent[] = [];
  let released: NodesRelease = { kind: "released", skipped: [] };

  before(async () => {
    server = await startRealApiServer();
    await createManifestApplier(server).apply(await readManifests(crds), signal);
    await server.api.create(resources.namespaces, { metadata: { name: namespace } }, { signal });
    const storageClass = { metadata: { name: "fast" }, provisioner: "example.com/none", allowVolumeExpansion: true };
    await server.api.create(resources.storageClasses, storageClass, { signal });
  });
  after(() => server.stop());
  beforeEach(() => {
    events.length = 0;
    released = { kind: "released", skipped: [] };
  });

  function reconciler(changes: Partial<LocalRegistryReconcilerNeeds> = {}) {
    const { api } = server;
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

  const create = (spec: LocalRegistrySpec) =>
    server.api.create(resources.localRegistries, { metadata: { name: "default" }, spec }, { signal });
  const read = () => server.api.get(resources.localRegistries, { name: "default" }, signal);
  const get = (of: keyof typeof resources, name: string) => server.api.get(resources[of], { namespace, name }, signal);
  const patch = (spec: object) => server.api.merge(resources.localRegistries, { name: "default" }, { spec }, signal);
  const readyReason = async () => {
    const { conditions = [] } = (await read()).status as { conditions?: readonly Condition[] };
    return conditions.find((condition) => condition.type === "Ready")?.reason;
  };
  async function remove(): Promise<void> {
    await server.api.delete(resources.localRegistries, { name: "default" }, { signal });
    assert.deepEqual(await reconciler().reconcile("default", signal), { kind: "done" });
    await assert.rejects(read(), { status: 404 });
  }
  /** What the Deployment's controller and kubelet do. */
  async function makeAvailable(): Promise<void> {
    const deployment = await get("deployments", "registry");
    const status = {
      observedGeneration: deployment.metadata.generation,
      replicas: 1,
      updatedReplicas: 1,
      readyReplicas: 1,
      availableReplicas: 1,
    };
    await server.api.replace(resources.deployments, { ...deployment, status }, { subresource: "status", signal });
  }

  test("from an empty spec to Ready; a second look changes nothing; the end leaves the claim", async () => {
    await create({ storage: { persistentVolumeClaim: { storageClassNames: ["absent", "fast"], size: "1Gi" } } });
    await reconciler().reconcile("default", signal);
    assert.equal(await readyReason(), "RegistryUnavailable");
    await makeAvailable();
    await reconciler().reconcile("default", signal);
    assert.equal(await readyReason(), "Serving");
    assert.deepEqual(
      events.map((event) => event.reason),
      ["RegistryUnavailable", "Serving"],
    );
    const document = await server.api.get(
      resources.configMaps,
      { namespace: "kube-public", name: "local-registry-hosting" },
      signal,
    );
    assert.match(JSON.stringify(document.data), /hostFromContainerRuntime: .*registry\.slipway-system\.svc/);
    const versions = async () => [
      (await read()).metadata.resourceVersion,
      (await get("deployments", "registry")).metadata.resourceVersion,
      (await get("persistentVolumeClaims", "registry-data")).metadata.resourceVersion,
      (await get("secrets", "slipway-registry-admin")).metadata.resourceVersion,
    ];
    const settled = await versions();
    await reconciler().reconcile("default", signal);
    assert.deepEqual(await versions(), settled);
    await remove();
    await assert.rejects(get("deployments", "registry"), { status: 404 });
    await assert.rejects(get("services", "registry"), { status: 404 });
    assert.equal((await get("persistentVolumeClaims", "registry-data")).metadata.deletionTimestamp, undefined);
  });

  test("Secrets are made once and never overwritten", async () => {
    await create({});
    await reconciler().reconcile("default", signal);
    const keys = await get("secrets", "slipway-registry-keys");
    assert.deepEqual(
      readRegistryKeys(keys)?.map((key) => key.generation),
      [1],
    );
    const data = { password: Buffer.from("mine").toString("base64") };
    await server.api.merge(resources.secrets, { namespace, name: "slipway-registry-admin" }, { data }, signal);
    await reconciler().reconcile("default", signal);
    assert.equal(
      (await get("secrets", "slipway-registry-keys")).metadata.resourceVersion,
      keys.metadata.resourceVersion,
    );
    const admin = (await get("secrets", "slipway-registry-admin")).data as Record<string, string>;
    assert.equal(admin.password, data.password);
    await remove();
  });

  test("the claim grows with the size", async () => {
    // A claim grows only once it is bound; nobody binds it here.
    await create({ storage: { persistentVolumeClaim: { size: "1Gi" } } });
    await reconciler().reconcile("default", signal);
    const claim = await get("persistentVolumeClaims", "registry-data");
    const bound = { ...claim, status: { phase: "Bound" } };
    await server.api.replace(resources.persistentVolumeClaims, bound, { subresource: "status", signal });
    await patch({ storage: { persistentVolumeClaim: { size: "2Gi" } } });
    await reconciler().reconcile("default", signal);
    const grown = (await get("persistentVolumeClaims", "registry-data")).spec as {
      resources: { requests: { storage: string } };
    };
    assert.equal(grown.resources.requests.storage, "2Gi");
    await remove();
  });

  test("storage that refuses a write is not Ready, and the read-only switch keeps the last answer", async () => {
    await create({});
    let writable = true;
    const tryUpload = async () => {
      if (!writable) throw new RegistryError({ status: 500, code: "UNKNOWN", message: "500" });
    };
    const subject = reconciler({ client: () => ({ tryUpload }) });
    await subject.reconcile("default", signal);
    await makeAvailable();
    writable = false;
    await subject.reconcile("default", signal);
    assert.equal(await readyReason(), "WriteFailed");
    writable = true;
    await subject.reconcile("default", signal);
    assert.equal(await readyReason(), "Serving");
    writable = false;
    await patch({ maintenance: { readOnly: true } });
    await subject.reconcile("default", signal);
    assert.equal(await readyReason(), "Serving");
    await remove();
  });

  test("what the volume holds is in the status while a gateway tells it, and written once for each value", async () => {
    await create({});
    let bytesUsed: number | undefined = 7_000_000_000;
    const subject = reconciler({ bytesUsed: () => bytesUsed });
    const told = async () => ((await read()).status as { readonly bytesUsed?: number }).bytesUsed;
    await subject.reconcile("default", signal);
    assert.equal(await told(), 7_000_000_000);
    const { resourceVersion } = (await read()).metadata;
    await subject.reconcile("default", signal);
    assert.equal((await read()).metadata.resourceVersion, resourceVersion);
    bytesUsed = undefined;
    await subject.reconcile("default", signal);
    assert.equal(await told(), undefined);
    await remove();
  });

  test("an external registry is not hosted, and what was hosted before goes", async () => {
    await create({});
    await reconciler().reconcile("default", signal);
    await patch({ external: { url: "https://registry.example.com" } });
    await reconciler().reconcile("default", signal);
    await assert.rejects(get("deployments", "registry"), { status: 404 });
    const status = (await read()).status as { endpoints: { hostFromClusterNetwork: string } };
    assert.equal(status.endpoints.hostFromClusterNetwork, "registry.example.com");
    await remove();
  });

  test("a certificate of the user's own is copied for the gateway, followed, and taken back", async () => {
    const copyName = "slipway-registry-provided-tls";
    const own = async (change: "create" | "merge") => {
      const { cert, key } = createSelfSigned();
      const encode = (text: string) => Buffer.from(text).toString("base64");
      const data = { "tls.crt": encode(cert), "tls.key": encode(key) };
      const address = { namespace, name: "registry-example-com" };
      if (change === "merge") await server.api.merge(resources.secrets, address, { data }, signal);
      else
        await server.api.create(resources.secrets, { metadata: address, type: "kubernetes.io/tls", data }, { signal });
      return data;
    };
    const copy = async () => (await get("secrets", copyName)).data;
    await create({ certificate: { secretName: "registry-example-com" } });
    const subject = reconciler();
    await subject.reconcile("default", signal);
    await makeAvailable();
    await subject.reconcile("default", signal);
    assert.equal(await readyReason(), "CertificateNotFound");
    const first = await own("create");
    await subject.reconcile("default", signal);
    assert.deepEqual(await copy(), first);
    assert.equal(await readyReason(), "Serving");
    const second = await own("merge");
    await subject.reconcile("default", signal);
    assert.deepEqual(await copy(), second);
    await server.api.delete(resources.secrets, { namespace, name: "registry-example-com" }, { signal });
    await subject.reconcile("default", signal);
    assert.deepEqual(await copy(), second, "what is missing changes nothing that is served");
    await patch({ certificate: null });
    await subject.reconcile("default", signal);
    await assert.rejects(copy(), { status: 404 });
    await remove();
  });

  test("a foreign hosting document stays, and LocalRegistry says so", async () => {
    const foreign = { metadata: { name: "local-registry-hosting", namespace: "kube-public" }, data: { mine: "1" } };
    await server.api.create(resources.configMaps, foreign, { signal });
    await create({});
    await reconciler().reconcile("default", signal);
    await makeAvailable();
    await reconciler().reconcile("default", signal);
    assert.equal(await readyReason(), "ForeignHostingDocument");
    await remove();
    const address = { namespace: "kube-public", name: "local-registry-hosting" };
    assert.deepEqual((await server.api.get(resources.configMaps, address, signal)).data, { mine: "1" });
    await server.api.delete(resources.configMaps, address, { signal });
  });

  test("the end waits for nodes, names those that were skipped, and takes the claim when told to", async () => {
    await create({ storage: { persistentVolumeClaim: {}, reclaimPolicy: "Delete" } });
    await reconciler().reconcile("default", signal);
    await server.api.delete(resources.localRegistries, { name: "default" }, { signal });
    released = { kind: "waiting", nodes: ["node-1"] };
    assert.equal((await reconciler().reconcile("default", signal)).kind, "again");
    assert.ok(await get("deployments", "registry"));
    released = { kind: "released", skipped: ["node-1"] };
    events.length = 0;
    assert.equal((await reconciler().reconcile("default", signal)).kind, "done");
    assert.deepEqual(
      events.map((event) => event.reason),
      ["NodesSkipped"],
    );
    await assert.rejects(read(), { status: 404 });
    const claim = await get("persistentVolumeClaims", "registry-data").catch(() => undefined);
    assert.notEqual(claim?.metadata.deletionTimestamp ?? (claim === undefined ? "gone" : undefined), undefined);
  });
});
