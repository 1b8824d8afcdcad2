import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { KubernetesObject } from "../../../src/cluster/object.ts";
import { type Resource, resources } from "../../../src/cluster/resource.ts";
import type { LocalRegistrySpec } from "../../../src/config/local-registry.ts";
import { optInSelection } from "../../../src/namespace/selection.ts";
import { decideHosting, type HostingFacts } from "../../../src/registry/hosting.ts";
import { hostingDocument, registryEndpoints } from "../../../src/registry/hosting-document.ts";
import { createObjectWriter } from "../../../src/registry/object-writer.ts";
import { type RealApiServer, signal, startRealApiServer } from "../cluster/api-server.ts";

const facts: Omit<HostingFacts, "namespace"> = {
  selection: optInSelection,
  hasCertificate: true,
  deployment: undefined,
  images: { slipway: "registry.example.com/slipway:0.1.0", registry: "registry:3.1.1" },
  storageClasses: [{ name: "standard", isDefault: true, allowsExpansion: true }],
  claim: undefined,
  volumeTopology: {},
  tokenAuthority: "pem",
  secretsHash: "0".repeat(64),
  s3Credentials: { hasCa: true },
};
const specs: Readonly<Record<string, LocalRegistrySpec>> = {
  default: {},
  exposed: {
    aliases: ["container-registry.local:5000"],
    exposure: { nodePort: 31113, ingress: { host: "registry.example.com", tlsSecretName: "tls" } },
  },
  ephemeral: { storage: { ephemeral: {} } },
  s3: { storage: { s3: { bucket: "images", credentialsSecretRef: { name: "s3" } } } },
};

const priorityClasses: Resource = {
  group: "scheduling.k8s.io",
  version: "v1",
  kind: "PriorityClass",
  plural: "priorityclasses",
  namespaced: false,
};

describe("the hosted registry's objects at a real API server", () => {
  let server: RealApiServer;
  let namespace: string;
  before(async () => {
    server = await startRealApiServer();
    namespace = await server.createNamespace();
    // What the pod has to fit: base puts the same label on slipway-system.
    const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
    await server.api.merge(resources.namespaces, { name: namespace }, { metadata: { labels } }, signal);
  });
  after(() => server.stop());

  const decide = (spec: LocalRegistrySpec) => decideHosting(spec, { ...facts, namespace }).objects;
  const writer = () => createObjectWriter({ api: server.api, namespace });
  const get = (name: keyof typeof resources, of: string): Promise<KubernetesObject> =>
    server.api.get(resources[name], { namespace, name: of }, signal);

  for (const [name, spec] of Object.entries(specs)) {
    test(`${name}: every object is accepted, and applying it again changes nothing`, async () => {
      const objects = decide(spec);
      assert.deepEqual(await writer().apply(objects, signal), []);
      await writer().prune(objects, signal);
      // The API server notes the owners of a claim's defaults only with the second apply.
      await writer().apply(objects, signal);
      const versions = () =>
        Promise.all(
          objects.map(async ({ resource, object }) => {
            const found = await server.api.get(resource, { namespace, name: object.metadata.name }, signal);
            return found.metadata.resourceVersion;
          }),
        );
      const once = await versions();
      assert.deepEqual(await writer().apply(objects, signal), []);
      assert.deepEqual(await versions(), once);
    });
  }

  test("the pod fits the restricted Pod Security Standard", async () => {
    for (const spec of Object.values(specs)) {
      const deployment = decide(spec).find(({ resource }) => resource.kind === "Deployment");
      assert.ok(deployment);
      const { template } = deployment.object.spec as { template: { metadata: object; spec: object } };
      const priority = { metadata: { name: "slipway" }, value: 1_000_000 };
      await server.api.apply(priorityClasses, priority, { force: true, signal });
      const account = { metadata: { name: "gateway", namespace } };
      await server.api.apply(resources.serviceAccounts, account, { force: true, signal });
      const pod = { ...template, metadata: { ...template.metadata, name: "registry", namespace } };
      await server.api.create(resources.pods, pod, { dryRun: true, signal });
    }
  });

  test("from several replicas back to one volume: the strategy changes over", async () => {
    await writer().apply(decide(specs.s3 ?? {}), signal);
    assert.deepEqual(await writer().apply(decide({}), signal), []);
    const deployment = await get("deployments", "registry");
    assert.deepEqual((deployment.spec as { strategy: unknown }).strategy, { type: "Recreate" });
  });

  test("what a change of the spec makes superfluous goes, the claim stays", async () => {
    await writer().apply(decide({ ...specs.exposed, ...specs.s3 }), signal);
    await writer().apply(decide({}), signal);
    await writer().prune(decide({ storage: { ephemeral: {} } }), signal);
    await assert.rejects(get("ingresses", "registry"), { status: 404 });
    await assert.rejects(get("podDisruptionBudgets", "registry"), { status: 404 });
    assert.equal((await get("persistentVolumeClaims", "registry-data")).metadata.name, "registry-data");
    const service = await get("services", "registry");
    assert.equal((service.spec as { type: string }).type, "ClusterIP");
  });

  test("an object of another is left alone and named", async () => {
    const other = await server.createNamespace();
    const foreign = { metadata: { name: "registry", namespace: other }, spec: { ports: [{ port: 80 }] } };
    await server.api.create(resources.services, foreign, { signal });
    const objects = decideHosting({}, { ...facts, namespace: other }).objects;
    const findings = await createObjectWriter({ api: server.api, namespace: other }).apply(objects, signal);
    assert.deepEqual(
      findings.map(({ reason }) => reason),
      ["ForeignObject"],
    );
    const service = await server.api.get(resources.services, { namespace: other, name: "registry" }, signal);
    assert.deepEqual(
      (service.spec as { ports: { port: number }[] }).ports.map(({ port }) => port),
      [80],
    );
  });

  test("a namespace that is not there is told, object by object", async () => {
    const absent = createObjectWriter({ api: server.api, namespace: "absent" });
    const findings = await absent.apply(decideHosting({}, { ...facts, namespace: "absent" }).objects, signal);
    assert.equal(findings.length, 4);
    for (const { reason, message } of findings)
      assert.match(`${reason} ${message}`, /^ObjectRefused .*"absent" not found/);
  });

  test("a claim that is refused keeps a registry that has one from nothing", async () => {
    const writer = createObjectWriter({ api: server.api, namespace });
    const claim = (accessMode: string) => {
      const spec = { accessModes: [accessMode], resources: { requests: { storage: "1Gi" } } };
      const labels = { "app.kubernetes.io/managed-by": "slipway" };
      return [
        { resource: resources.persistentVolumeClaims, object: { metadata: { name: "held", namespace, labels }, spec } },
      ];
    };
    assert.deepEqual(await writer.apply(claim("ReadWriteOnce"), signal), []);
    const [finding] = await writer.apply(claim("ReadWriteMany"), signal);
    assert.deepEqual([finding?.reason, finding?.blocks, finding?.about], ["ObjectRefused", false, "storage"]);
  });

  test("the document of KEP-1755 is accepted in kube-public", async () => {
    const names = { host: "registry.example.com", names: [], loopback: "127.0.0.1:7443" };
    const endpoints = registryEndpoints({}, { names, mode: "HostsToml", nodeAddress: undefined });
    await server.api.apply(resources.configMaps, hostingDocument(endpoints, "pem"), { force: true, signal });
  });
});
