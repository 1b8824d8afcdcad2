import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { resources } from "../../../src/cluster/resource.ts";
import type { LocalRegistrySpec } from "../../../src/config/local-registry.ts";
import { RegistryError } from "../../../src/registry/registry-error.ts";
import { signal } from "../cluster/api-server.ts";
import { type ReconcilerStage, startReconcilerStage } from "./reconciler-stage.ts";

describe("storage of the hosted registry at a real API server", () => {
  let stage: ReconcilerStage;
  let server: ReconcilerStage["server"];
  let namespace: string;
  before(async () => {
    stage = await startReconcilerStage();
    ({ server, namespace } = stage);
  });
  after(() => server.stop());

  const reconcile = () => stage.reconciler().reconcile("default", signal);
  const storageReady = async () => {
    const found = await stage.condition("StorageReady");
    return `${found?.status} ${found?.reason}`;
  };
  const claims = resources.persistentVolumeClaims;
  /** What the volume controllers do once nothing uses the claim. */
  const dropClaim = (name: string) =>
    server.api.merge(claims, { namespace, name }, { metadata: { finalizers: null } }, signal);
  async function makeClaim(name: string, spec: object): Promise<void> {
    const resourcesOf = { resources: { requests: { storage: "1Gi" } } };
    await server.api.create(claims, { metadata: { name, namespace }, spec: { ...resourcesOf, ...spec } }, { signal });
  }
  async function deleteClaim(name: string): Promise<void> {
    await server.api.delete(claims, { namespace, name }, { signal });
    await dropClaim(name).catch(() => undefined); // gone already where no finalizer held it
  }
  const s3 = { bucket: "images", credentialsSecretRef: { name: "s3" } };
  async function makeS3Secret(accessKey: string): Promise<void> {
    const data = { accessKey: Buffer.from(accessKey).toString("base64"), secretKey: "c2VjcmV0" };
    const secret = { metadata: { name: "s3", namespace }, type: "Opaque", data };
    await server.api.apply(resources.secrets, secret, { force: true, signal });
  }

  test("no StorageClass of the list exists: both conditions name them, and one that comes is taken", async () => {
    await stage.create({ storage: { persistentVolumeClaim: { storageClassNames: ["gold", "silver"] } } });
    await reconcile();
    for (const type of ["Ready", "StorageReady"]) {
      const condition = await stage.condition(type);
      assert.equal(condition?.reason, "StorageClassNotFound");
      assert.match(condition?.message ?? "", /gold, silver.*fast/);
    }
    const silver = { metadata: { name: "silver" }, provisioner: "example.com/none" };
    await server.api.create(resources.storageClasses, silver, { signal });
    await reconcile();
    const claim = await stage.get("persistentVolumeClaims", "registry-data");
    assert.equal((claim.spec as { storageClassName: string }).storageClassName, "silver");
    await stage.remove();
    await deleteClaim("registry-data");
  });

  test("an existing claim is waited for, taken as it is, and never written", async () => {
    await stage.create({ storage: { persistentVolumeClaim: { existingClaim: "mine" } } });
    await reconcile();
    assert.equal(await storageReady(), "False ClaimNotFound");
    await makeClaim("mine", { accessModes: ["ReadOnlyMany"] });
    await reconcile();
    assert.equal(await storageReady(), "False ClaimUnusable");
    await deleteClaim("mine");
    await makeClaim("mine", { accessModes: ["ReadWriteMany"] });
    const { resourceVersion } = (await stage.get("persistentVolumeClaims", "mine")).metadata;
    await reconcile();
    await stage.makeAvailable();
    await reconcile();
    assert.equal(await stage.readyReason(), "Serving");
    assert.equal((await stage.get("persistentVolumeClaims", "mine")).metadata.resourceVersion, resourceVersion);
    await server.api.delete(claims, { namespace, name: "mine" }, { signal });
    await reconcile();
    assert.equal(await stage.readyReason(), "ClaimBeingDeleted");
    await stage.remove();
    await dropClaim("mine");
  });

  test("a LocalRegistry that is made again while its claim is being deleted gets a claim of its own", async () => {
    const spec: LocalRegistrySpec = { storage: { persistentVolumeClaim: { size: "1Gi" }, reclaimPolicy: "Delete" } };
    await stage.create(spec);
    await reconcile();
    const first = (await stage.get("persistentVolumeClaims", "registry-data")).metadata.uid;
    await stage.remove();
    await stage.create(spec);
    await reconcile();
    assert.match((await stage.condition("Ready"))?.message ?? "", /no pod of Deployment registry is available/);
    await stage.makeAvailable();
    await reconcile();
    assert.equal(await stage.readyReason(), "ClaimBeingDeleted");
    await dropClaim("registry-data");
    await reconcile();
    const second = await stage.get("persistentVolumeClaims", "registry-data");
    assert.notEqual(second.metadata.uid, first);
    assert.equal(second.metadata.deletionTimestamp, undefined);
    await stage.remove();
    await dropClaim("registry-data");
  });

  test("with Retain the claim and the logins are taken up again", async () => {
    await stage.create({});
    await reconcile();
    const before = [
      (await stage.get("persistentVolumeClaims", "registry-data")).metadata.uid,
      (await stage.get("secrets", "slipway-registry-admin")).metadata.uid,
    ];
    await stage.remove();
    await stage.create({});
    await reconcile();
    assert.deepEqual(
      [
        (await stage.get("persistentVolumeClaims", "registry-data")).metadata.uid,
        (await stage.get("secrets", "slipway-registry-admin")).metadata.uid,
      ],
      before,
    );
    await stage.remove();
    await deleteClaim("registry-data");
  });

  test("a size that shrinks changes nothing, and both sizes are said", async () => {
    await stage.create({ storage: { persistentVolumeClaim: { size: "4Gi" } } });
    await reconcile();
    await stage.makeAvailable();
    await stage.patch({ storage: { persistentVolumeClaim: { size: "2Gi" } } });
    await reconcile();
    assert.equal(await stage.readyReason(), "ClaimCannotShrink");
    assert.match((await stage.condition("Ready"))?.message ?? "", /2Gi.*4Gi/);
    await stage.remove();
    await deleteClaim("registry-data");
  });

  test("S3 waits for its Secret, and another key or an emptied one is noticed", async () => {
    await stage.create({ storage: { s3 } });
    await reconcile();
    assert.equal(await storageReady(), "False S3CredentialsNotFound");
    await makeS3Secret("one");
    await reconcile();
    const hash = async () => {
      const { template } = (await stage.get("deployments", "registry")).spec as {
        template: { metadata: { annotations: Record<string, string> } };
      };
      return template.metadata.annotations["slipway.dev/config-hash"];
    };
    const first = await hash();
    await makeS3Secret("two");
    await reconcile();
    const second = await hash();
    assert.notEqual(second, first, "the pods are replaced");
    await makeS3Secret("");
    await reconcile();
    assert.equal(await storageReady(), "False S3CredentialsNotFound");
    assert.equal(await hash(), second, "what runs stays");
    await stage.remove();
  });

  test("a write that went through before the pods were replaced says nothing about the new storage", async () => {
    await makeS3Secret("wrong");
    await stage.create({ storage: { ephemeral: {} } });
    let storesNothing = false;
    let tried = 0;
    const tryUpload = async () => {
      tried++;
      if (storesNothing) throw new RegistryError({ status: 500, code: "UNKNOWN", message: "AccessDenied" });
    };
    const subject = stage.reconciler({ client: () => ({ tryUpload }) });
    const look = () => subject.reconcile("default", signal);
    await look();
    await stage.makeAvailable();
    await look();
    await look();
    assert.equal(tried, 1, "a good answer is good for ten minutes");
    await stage.patch({ storage: { ephemeral: null, s3 } });
    // The pods of the old storage still answer.
    assert.deepEqual(await look(), { kind: "again", afterMs: 1_000 });
    assert.equal(await storageReady(), "True Writable");
    assert.equal(await stage.readyReason(), "RollingOut");
    storesNothing = true;
    await stage.makeAvailable();
    await look();
    assert.equal(await storageReady(), "False WriteFailed");
    await stage.remove();
  });

  test("while nothing may be written a new leader goes on with the last answer", async () => {
    await stage.create({ storage: { ephemeral: {} } });
    const refused = async () => assert.fail("nothing is written while the registry is read-only");
    const readOnly = () => stage.reconciler({ client: () => ({ tryUpload: refused }) }).reconcile("default", signal);
    await reconcile();
    await stage.makeAvailable();
    await reconcile();
    await stage.patch({ maintenance: { readOnly: true } });
    await readOnly();
    assert.equal(await storageReady(), "True ReadOnly");
    await readOnly();
    assert.equal(await storageReady(), "True ReadOnly");
    await stage.remove();
  });

  const kinds: Readonly<Record<string, object>> = {
    persistentVolumeClaim: { persistentVolumeClaim: {} },
    existingClaim: { persistentVolumeClaim: { existingClaim: "moved" } },
    s3: { s3 },
    ephemeral: { ephemeral: {} },
  };
  test("each kind of storage gives way to each other one", async () => {
    await makeS3Secret("key");
    await makeClaim("moved", { accessModes: ["ReadWriteOnce"] });
    await stage.create({});
    const volume = async () => {
      const { template, replicas, strategy } = (await stage.get("deployments", "registry")).spec as {
        replicas: number;
        strategy: { type: string };
        template: {
          spec: { volumes: { name: string; persistentVolumeClaim?: { claimName: string }; emptyDir?: object }[] };
        };
      };
      const data = template.spec.volumes.find(({ name }) => name === "data");
      const claimed = data?.persistentVolumeClaim?.claimName;
      const what = claimed ?? (data?.emptyDir === undefined ? "bucket" : "emptyDir");
      return `${what} ${replicas} ${strategy.type}`;
    };
    const wanted: Readonly<Record<string, string>> = {
      persistentVolumeClaim: "registry-data 1 Recreate",
      existingClaim: "moved 1 Recreate",
      s3: "bucket 2 RollingUpdate",
      ephemeral: "emptyDir 1 Recreate",
    };
    const names = Object.keys(kinds);
    for (const order of names.flatMap((from) => names.filter((to) => to !== from).map((to) => [from, to]))) {
      for (const name of order) {
        await server.api.replace(
          resources.localRegistries,
          { ...(await stage.read()), spec: { storage: kinds[name] } },
          { signal },
        );
        await reconcile();
        assert.equal(await volume(), wanted[name], order.join(" to "));
        assert.equal(await stage.readyReason(), "RegistryUnavailable");
      }
    }
    await stage.remove();
    assert.equal((await stage.get("persistentVolumeClaims", "registry-data")).metadata.deletionTimestamp, undefined);
  });
});
