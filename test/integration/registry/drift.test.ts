import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { KubernetesObject } from "../../../src/cluster/object.ts";
import { type Resource, resources } from "../../../src/cluster/resource.ts";
import type { LocalRegistrySpec } from "../../../src/config/local-registry.ts";
import { signal } from "../cluster/api-server.ts";
import { type ReconcilerStage, startReconcilerStage } from "./reconciler-stage.ts";

type Container = {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly resources: object;
};
type PodSpec = {
  readonly containers: readonly Container[];
  readonly nodeSelector?: object;
  readonly tolerations: readonly object[];
};

describe("the hosted registry's objects in the hands of others, at a real API server", () => {
  let stage: ReconcilerStage;
  let server: ReconcilerStage["server"];
  let namespace: string;
  before(async () => {
    stage = await startReconcilerStage();
    ({ server, namespace } = stage);
  });
  after(() => server.stop());

  const reconcile = () => stage.reconciler().reconcile("default", signal);
  const template = async () => {
    const { template: found } = (await stage.get("deployments", "registry")).spec as {
      template: { metadata: { annotations: Record<string, string> }; spec: PodSpec };
    };
    return found;
  };
  const patch = (of: keyof typeof resources, change: object) =>
    server.api.merge(resources[of], { namespace, name: "registry" }, change, signal);
  const podSpec = (change: object) => ({ spec: { template: { spec: change } } });

  test("what was edited by hand is put right, what others have added stays, and then nothing is written", async () => {
    await stage.create({});
    await reconcile();
    const good = await template();
    const restartedAt = { "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z" };
    await patch("deployments", { spec: { template: { metadata: { annotations: restartedAt } } } });
    await patch("deployments", { metadata: { annotations: { "example.com/note": "theirs" } }, spec: { replicas: 3 } });
    await patch(
      "deployments",
      podSpec({ containers: [{ ...good.spec.containers[0], args: ["gateway", "--no-auth"] }] }),
    );
    await patch("services", { metadata: { labels: { team: "theirs" } }, spec: { selector: { app: "theirs" } } });
    const config = (await stage.get("configMaps", "slipway-registry")).data;
    const edited = { data: { "config.yml": "version: 0.1" } };
    await server.api.merge(resources.configMaps, { namespace, name: "slipway-registry" }, edited, signal);
    await reconcile();
    const mended = await template();
    assert.deepEqual(
      mended.spec.containers.map(({ name, image, args }) => ({ name, image, args })),
      good.spec.containers.map(({ name, image, args }) => ({ name, image, args })),
    );
    assert.equal(mended.metadata.annotations["kubectl.kubernetes.io/restartedAt"], "2026-01-01T00:00:00Z");
    const deployment = await stage.get("deployments", "registry");
    assert.equal((deployment.spec as { replicas: number }).replicas, 1);
    assert.equal(deployment.metadata.annotations?.["example.com/note"], "theirs");
    const service = await stage.get("services", "registry");
    const { selector } = service.spec as { selector: Record<string, string> };
    assert.equal(selector["app.kubernetes.io/component"], "registry");
    assert.equal(service.metadata.labels?.team, "theirs");
    assert.deepEqual((await stage.get("configMaps", "slipway-registry")).data, config);
    await reconcile();
    assert.equal(
      (await stage.get("deployments", "registry")).metadata.resourceVersion,
      deployment.metadata.resourceVersion,
    );
    await stage.remove();
  });

  test("resources, tolerations and the node selector come and go with the spec", async () => {
    await stage.create({});
    await reconcile();
    const before = await template();
    const wishes: LocalRegistrySpec = {
      resources: { limits: { memory: "512Mi", "ephemeral-storage": "1Gi" } },
      nodeSelector: { disk: "ssd", zone: "a" },
      tolerations: [{ key: "dedicated", operator: "Exists", effect: "NoSchedule" }],
    };
    await stage.patch(wishes);
    await reconcile();
    const { containers, nodeSelector, tolerations } = (await template()).spec;
    assert.deepEqual(containers[1]?.resources, { limits: { memory: "512Mi", "ephemeral-storage": "1Gi" } });
    assert.deepEqual(nodeSelector, { disk: "ssd", zone: "a" });
    assert.equal(tolerations.length, 2);
    await stage.patch({ resources: null, nodeSelector: null, tolerations: null });
    await reconcile();
    assert.deepEqual((await template()).spec, before.spec);
    await stage.remove();
  });

  test("resources that contradict each other are refused in the API server's words, and what runs stays", async () => {
    await stage.create({});
    await reconcile();
    const before = await template();
    await stage.patch({ resources: { requests: { memory: "1Gi" }, limits: { memory: "256Mi" } } });
    await reconcile();
    const ready = await stage.condition("Ready");
    assert.equal(ready?.reason, "ObjectRefused");
    assert.match(ready?.message ?? "", /Deployment .*registry.*memory limit/);
    assert.deepEqual(await template(), before);
    await stage.remove();
  });

  const labels = { app: "theirs" };
  const pods = {
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [{ name: "a", image: "a" }] } },
  };
  const foreign: readonly {
    readonly of: Resource;
    readonly name: string;
    readonly content: Partial<KubernetesObject>;
  }[] = [
    { of: resources.deployments, name: "registry", content: { spec: pods } },
    { of: resources.services, name: "registry", content: { spec: { ports: [{ port: 80 }] } } },
    { of: resources.configMaps, name: "slipway-registry", content: { data: { mine: "1" } } },
    {
      of: resources.ingresses,
      name: "registry",
      content: { spec: { defaultBackend: { service: { name: "theirs", port: { number: 80 } } } } },
    },
    {
      of: resources.podDisruptionBudgets,
      name: "registry",
      content: { spec: { maxUnavailable: 1, selector: { matchLabels: labels } } },
    },
  ];
  for (const { of, name, content } of foreign) {
    test(`a ${of.kind} of another by our name is named, never written, and outlives LocalRegistry`, async () => {
      const secret = {
        metadata: { name: "s3", namespace },
        type: "Opaque",
        data: { accessKey: "YQ==", secretKey: "Yg==" },
      };
      await server.api.apply(resources.secrets, secret, { force: true, signal });
      const theirs = await server.api.create(of, { metadata: { name, namespace }, ...content }, { signal });
      await stage.create({
        storage: { s3: { bucket: "images", credentialsSecretRef: { name: "s3" } } },
        exposure: { ingress: { host: "images.example.com" } },
      });
      await reconcile();
      const ready = await stage.condition("Ready");
      assert.equal(`${ready?.status} ${ready?.reason}`, "False ForeignObject");
      assert.match(ready?.message ?? "", new RegExp(`${of.kind} ${namespace}/${name} `));
      const found = () => server.api.get(of, { namespace, name }, signal);
      assert.equal((await found()).metadata.resourceVersion, theirs.metadata.resourceVersion);
      await stage.remove();
      assert.equal((await found()).metadata.uid, theirs.metadata.uid);
      await server.api.delete(of, { namespace, name }, { signal });
    });
  }

  test("from hosting to an external registry with a login and back", async () => {
    await stage.create({});
    await reconcile();
    const external = { url: "https://registry.example.com", credentialSecretRef: { name: "login" } };
    await stage.patch({ external });
    await reconcile();
    await assert.rejects(stage.get("deployments", "registry"), { status: 404 });
    assert.equal(await stage.readyReason(), "ExternalLoginNotFound");
    const data = { username: "YQ==", password: "Yg==" };
    const login = { metadata: { name: "login", namespace }, type: "kubernetes.io/basic-auth", data };
    await server.api.create(resources.secrets, login, { signal });
    await reconcile();
    assert.equal((await stage.condition("StorageReady"))?.reason, "External");
    assert.equal(await stage.readyReason(), "Serving");
    await stage.patch({ external: null });
    const subject = stage.reconciler();
    await subject.reconcile("default", signal);
    assert.equal(await stage.readyReason(), "RegistryUnavailable");
    await stage.makeAvailable();
    await subject.reconcile("default", signal);
    assert.equal(await stage.readyReason(), "Serving");
    await stage.remove();
  });

  test("a token CA is not taken for known while the registry is being hosted again", async () => {
    await stage.create({ external: { url: "https://registry.example.com" } });
    const subject = stage.reconciler();
    await subject.reconcile("default", signal);
    assert.ok(subject.trustsToken("any"), "an external one is not ours to restart");
    await stage.patch({ external: null });
    await subject.reconcile("default", signal);
    assert.ok(!subject.trustsToken("any"));
    await stage.remove();
  });
});
