import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { resources } from "../../../src/cluster/resource.ts";
import { readRegistryKeys } from "../../../src/registry/keys.ts";
import { RegistryError } from "../../../src/registry/registry-error.ts";
import { createSelfSigned } from "../../fake/self-signed.ts";
import { signal } from "../cluster/api-server.ts";
import { type ReconcilerStage, startReconcilerStage } from "./reconciler-stage.ts";

describe("the reconciler of LocalRegistry at a real API server", () => {
  let stage: ReconcilerStage;
  let server: ReconcilerStage["server"];
  let reconciler: ReconcilerStage["reconciler"];
  before(async () => {
    stage = await startReconcilerStage();
    ({ server, reconciler } = stage);
  });
  after(() => server.stop());
  beforeEach(() => {
    stage.events.length = 0;
    stage.release({ kind: "released", skipped: [] });
  });

  test("from an empty spec to Ready; a second look changes nothing; the end leaves the claim", async () => {
    await stage.create({ storage: { persistentVolumeClaim: { storageClassNames: ["absent", "fast"], size: "1Gi" } } });
    await reconciler().reconcile("default", signal);
    assert.equal(await stage.readyReason(), "RegistryUnavailable");
    await stage.makeAvailable();
    await reconciler().reconcile("default", signal);
    assert.equal(await stage.readyReason(), "Serving");
    assert.deepEqual(
      stage.events.map((event) => event.reason),
      ["RegistryUnavailable", "Serving"],
    );
    const document = await server.api.get(
      resources.configMaps,
      { namespace: "kube-public", name: "local-registry-hosting" },
      signal,
    );
    assert.match(JSON.stringify(document.data), /hostFromContainerRuntime: .*registry\.slipway-system\.svc/);
    const versions = async () => [
      (await stage.read()).metadata.resourceVersion,
      (await stage.get("deployments", "registry")).metadata.resourceVersion,
      (await stage.get("persistentVolumeClaims", "registry-data")).metadata.resourceVersion,
      (await stage.get("secrets", "slipway-registry-admin")).metadata.resourceVersion,
    ];
    const settled = await versions();
    await reconciler().reconcile("default", signal);
    assert.deepEqual(await versions(), settled);
    await stage.remove();
    await assert.rejects(stage.get("deployments", "registry"), { status: 404 });
    await assert.rejects(stage.get("services", "registry"), { status: 404 });
    assert.equal((await stage.get("persistentVolumeClaims", "registry-data")).metadata.deletionTimestamp, undefined);
  });

  test("what stays as it is for long is looked at less often, until something changes", async () => {
    await stage.create({});
    let tokenAuthority: string | undefined;
    const subject = reconciler({ tokenAuthority: () => tokenAuthority });
    const pauses: (number | undefined)[] = [];
    for (let look = 0; look < 16; look++) {
      const outcome = await subject.reconcile("default", signal);
      pauses.push(outcome.kind === "again" ? outcome.afterMs : undefined);
    }
    assert.deepEqual(pauses, [...Array(14).fill(1_000), 10_000, 10_000]);
    assert.equal(await stage.readyReason(), "TokenAuthorityMissing");
    tokenAuthority = "pem";
    assert.deepEqual(await subject.reconcile("default", signal), { kind: "again", afterMs: 1_000 });
    assert.equal(await stage.readyReason(), "RegistryUnavailable");
    await stage.remove();
  });

  test("Secrets are made once and never overwritten", async () => {
    await stage.create({});
    await reconciler().reconcile("default", signal);
    const keys = await stage.get("secrets", "slipway-registry-keys");
    assert.deepEqual(
      readRegistryKeys(keys)?.map((key) => key.generation),
      [1],
    );
    const data = { password: Buffer.from("mine").toString("base64") };
    await server.api.merge(
      resources.secrets,
      { namespace: stage.namespace, name: "slipway-registry-admin" },
      { data },
      signal,
    );
    await reconciler().reconcile("default", signal);
    assert.equal(
      (await stage.get("secrets", "slipway-registry-keys")).metadata.resourceVersion,
      keys.metadata.resourceVersion,
    );
    const admin = (await stage.get("secrets", "slipway-registry-admin")).data as Record<string, string>;
    assert.equal(admin.password, data.password);
    await stage.remove();
  });

  test("the claim grows with the size", async () => {
    // A claim grows only once it is bound; nobody binds it here.
    await stage.create({ storage: { persistentVolumeClaim: { size: "1Gi" } } });
    await reconciler().reconcile("default", signal);
    const claim = await stage.get("persistentVolumeClaims", "registry-data");
    const bound = { ...claim, status: { phase: "Bound" } };
    await server.api.replace(resources.persistentVolumeClaims, bound, { subresource: "status", signal });
    await stage.patch({ storage: { persistentVolumeClaim: { size: "2Gi" } } });
    await reconciler().reconcile("default", signal);
    const grown = (await stage.get("persistentVolumeClaims", "registry-data")).spec as {
      resources: { requests: { storage: string } };
    };
    assert.equal(grown.resources.requests.storage, "2Gi");
    await stage.remove();
  });

  test("storage that refuses a write is not Ready, and the read-only switch keeps the last answer", async () => {
    await stage.create({});
    let writable = true;
    const tryUpload = async () => {
      if (!writable) throw new RegistryError({ status: 500, code: "UNKNOWN", message: "500" });
    };
    const subject = reconciler({ client: () => ({ tryUpload }) });
    await subject.reconcile("default", signal);
    await stage.makeAvailable();
    writable = false;
    await subject.reconcile("default", signal);
    assert.equal(await stage.readyReason(), "WriteFailed");
    writable = true;
    await subject.reconcile("default", signal);
    assert.equal(await stage.readyReason(), "Serving");
    writable = false;
    await stage.patch({ maintenance: { readOnly: true } });
    await subject.reconcile("default", signal);
    assert.equal(await stage.readyReason(), "Serving");
    await stage.remove();
  });

  test("what the volume holds is in the status while a gateway tells it, and written once for each value", async () => {
    await stage.create({});
    let bytesUsed: number | undefined = 7_000_000_000;
    const subject = reconciler({ bytesUsed: () => bytesUsed });
    const told = async () => ((await stage.read()).status as { readonly bytesUsed?: number }).bytesUsed;
    await subject.reconcile("default", signal);
    assert.equal(await told(), 7_000_000_000);
    const { resourceVersion } = (await stage.read()).metadata;
    await subject.reconcile("default", signal);
    assert.equal((await stage.read()).metadata.resourceVersion, resourceVersion);
    bytesUsed = undefined;
    await subject.reconcile("default", signal);
    assert.equal(await told(), undefined);
    await stage.remove();
  });

  test("an external registry is not hosted, and what was hosted before goes", async () => {
    await stage.create({});
    await reconciler().reconcile("default", signal);
    await stage.patch({ external: { url: "https://registry.example.com" } });
    await reconciler().reconcile("default", signal);
    await assert.rejects(stage.get("deployments", "registry"), { status: 404 });
    const status = (await stage.read()).status as { endpoints: { hostFromClusterNetwork: string } };
    assert.equal(status.endpoints.hostFromClusterNetwork, "registry.example.com");
    await stage.remove();
  });

  test("a certificate of the user's own is copied for the gateway, followed, and taken back", async () => {
    const copyName = "slipway-registry-provided-tls";
    const own = async (change: "create" | "merge") => {
      const { cert, key } = createSelfSigned();
      const encode = (text: string) => Buffer.from(text).toString("base64");
      const data = { "tls.crt": encode(cert), "tls.key": encode(key) };
      const address = { namespace: stage.namespace, name: "registry-example-com" };
      if (change === "merge") await server.api.merge(resources.secrets, address, { data }, signal);
      else
        await server.api.create(resources.secrets, { metadata: address, type: "kubernetes.io/tls", data }, { signal });
      return data;
    };
    const copy = async () => (await stage.get("secrets", copyName)).data;
    await stage.create({ certificate: { secretName: "registry-example-com" } });
    const subject = reconciler();
    await subject.reconcile("default", signal);
    await stage.makeAvailable();
    await subject.reconcile("default", signal);
    assert.equal(await stage.readyReason(), "CertificateNotFound");
    const first = await own("create");
    await subject.reconcile("default", signal);
    assert.deepEqual(await copy(), first);
    assert.equal(await stage.readyReason(), "Serving");
    const second = await own("merge");
    await subject.reconcile("default", signal);
    assert.deepEqual(await copy(), second);
    await server.api.delete(
      resources.secrets,
      { namespace: stage.namespace, name: "registry-example-com" },
      { signal },
    );
    await subject.reconcile("default", signal);
    assert.deepEqual(await copy(), second, "what is missing changes nothing that is served");
    await stage.patch({ certificate: null });
    await subject.reconcile("default", signal);
    await assert.rejects(copy(), { status: 404 });
    await stage.remove();
  });

  test("a foreign hosting document stays, and LocalRegistry says so", async () => {
    const foreign = { metadata: { name: "local-registry-hosting", namespace: "kube-public" }, data: { mine: "1" } };
    await server.api.create(resources.configMaps, foreign, { signal });
    await stage.create({});
    await reconciler().reconcile("default", signal);
    await stage.makeAvailable();
    await reconciler().reconcile("default", signal);
    assert.equal(await stage.readyReason(), "ForeignHostingDocument");
    await stage.remove();
    const address = { namespace: "kube-public", name: "local-registry-hosting" };
    assert.deepEqual((await server.api.get(resources.configMaps, address, signal)).data, { mine: "1" });
    await server.api.delete(resources.configMaps, address, { signal });
  });

  test("the end waits for nodes, names those that were skipped, and takes the claim when told to", async () => {
    await stage.create({ storage: { persistentVolumeClaim: {}, reclaimPolicy: "Delete" } });
    await reconciler().reconcile("default", signal);
    await server.api.delete(resources.localRegistries, { name: "default" }, { signal });
    stage.release({ kind: "waiting", nodes: ["node-1"] });
    assert.equal((await reconciler().reconcile("default", signal)).kind, "again");
    assert.ok(await stage.get("deployments", "registry"));
    stage.release({ kind: "released", skipped: ["node-1"] });
    stage.events.length = 0;
    assert.equal((await reconciler().reconcile("default", signal)).kind, "done");
    assert.deepEqual(
      stage.events.map((event) => event.reason),
      ["NodesSkipped"],
    );
    await assert.rejects(stage.read(), { status: 404 });
    const claim = await stage.get("persistentVolumeClaims", "registry-data").catch(() => undefined);
    assert.notEqual(claim?.metadata.deletionTimestamp ?? (claim === undefined ? "gone" : undefined), undefined);
  });
});
