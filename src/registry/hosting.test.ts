import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { createSelfSigned } from "../../test/fake/self-signed.ts";
import type { LocalRegistrySpec } from "../config/local-registry.ts";
import { type NamespaceSelection, optInSelection } from "../namespace/selection.ts";
import { decideHosting, type HostingFacts } from "./hosting.ts";

const facts: HostingFacts = {
  namespace: "slipway-system",
  selection: optInSelection,
  hasCertificate: true,
  deployment: undefined,
  images: { slipway: "registry.example.com/slipway:0.1.0", registry: "registry:3.1.1" },
  storageClasses: [{ name: "standard", isDefault: true, allowsExpansion: false }],
  claim: undefined,
  volumeTopology: {},
  tokenAuthority: "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
  secretsHash: "0".repeat(64),
  s3Credentials: undefined,
};

const goldens: readonly { readonly name: string; readonly spec: LocalRegistrySpec; readonly facts: HostingFacts }[] = [
  { name: "default", spec: {}, facts },
  {
    name: "everything",
    spec: {
      storage: { persistentVolumeClaim: { size: "20Gi", storageClassNames: ["absent", "standard"] } },
      host: "registry.example.com",
      aliases: ["container-registry.local:5000", "builds.registry.svc.cluster.local"],
      exposure: {
        nodePort: 31113,
        ingress: { host: "registry.example.com", className: "nginx", tlsSecretName: "registry-tls" },
      },
      resources: { limits: { memory: "512Mi" } },
      nodeSelector: { disk: "ssd" },
      tolerations: [{ key: "dedicated", operator: "Exists" }],
    },
    facts: { ...facts, volumeTopology: { "kubernetes.io/hostname": "node-1" } },
  },
  {
    name: "s3",
    spec: {
      storage: {
        s3: {
          bucket: "images",
          regionEndpoint: "https://s3.example.com",
          forcePathStyle: true,
          credentialsSecretRef: { name: "s3" },
        },
      },
    },
    facts: { ...facts, s3Credentials: { hasCa: true } },
  },
];

for (const { name, spec, facts: found } of goldens) {
  test(`the objects of the case "${name}" are those of its fixture`, async () => {
    const { objects, findings } = decideHosting(spec, found);
    const shown = objects.map(({ resource, object }) => ({ kind: resource.kind, ...object }));
    const text = `${JSON.stringify({ findings, objects: shown }, null, 2)}\n`;
    const file = new URL(`../../test/fixtures/hosting/${name}.json`, import.meta.url);
    // UPDATE_FIXTURES=1 writes them anew; a change of them is a commit of its own.
    if (process.env.UPDATE_FIXTURES === "1") await writeFile(file, text);
    assert.equal(text, await readFile(file, "utf8"));
  });
}

const kinds = (spec: LocalRegistrySpec, found: Partial<HostingFacts> = {}) =>
  decideHosting(spec, { ...facts, ...found }).objects.map(({ resource }) => resource.kind);
/** What a gateway beside a volume is told. */
const beside = ["--linger", "0", "--grace", "1", "--refuse", "2", "--store-directory", "/var/lib/registry"];
const reasons = (spec: LocalRegistrySpec, found: Partial<HostingFacts> = {}) =>
  decideHosting(spec, { ...facts, ...found }).findings.map(({ reason }) => reason);

test("the Service comes even where something blocks the rest, since certificates need its address", () => {
  assert.deepEqual(kinds({}, { tokenAuthority: undefined }), ["PersistentVolumeClaim", "Service"]);
  assert.deepEqual(reasons({}, { tokenAuthority: undefined }), ["TokenAuthorityMissing"]);
});

test("S3 without its Secret is not hosted", () => {
  const spec = { storage: { s3: { bucket: "images", credentialsSecretRef: { name: "s3" } } } };
  assert.deepEqual(kinds(spec), ["Service"]);
  assert.deepEqual(reasons(spec), ["S3CredentialsNotFound"]);
});

test("ephemeral storage needs no claim", () => {
  assert.deepEqual(kinds({ storage: { ephemeral: {} } }), ["ConfigMap", "Service", "Deployment"]);
});

test("a nodeSelector that contradicts the volume is reported", () => {
  const found = { volumeTopology: { "kubernetes.io/hostname": "node-1" } };
  assert.deepEqual(reasons({ nodeSelector: { "kubernetes.io/hostname": "node-2" } }, found), ["VolumeElsewhere"]);
});

test("the first pod waits for the gateway's certificate; one that runs does not stop for it", () => {
  assert.deepEqual(reasons({}, { hasCertificate: false }), ["CertificateMissing"]);
  assert.deepEqual(kinds({}, { hasCertificate: false }), ["PersistentVolumeClaim", "Service"]);
  assert.deepEqual(reasons({}, { hasCertificate: false, deployment: { metadata: { name: "registry" } } }), []);
});

test("the gateway serves the namespaces that serve does", () => {
  const gateway = (selection: NamespaceSelection) => {
    const { objects } = decideHosting({}, { ...facts, selection });
    const deployment = objects.find(({ resource }) => resource.kind === "Deployment") ?? assert.fail();
    const spec = deployment.object.spec as { template: { spec: { containers: { args: string[] }[] } } };
    return spec.template.spec.containers[0];
  };
  assert.deepEqual(gateway(optInSelection)?.args, ["gateway", ...beside]);
  const optOut = ["--inject-mode", "opt-out", "--exclude-namespaces", "legacy,kube-public"];
  assert.deepEqual(gateway({ mode: "OptOut", excluded: ["legacy", "kube-public"] })?.args, [
    "gateway",
    ...beside,
    ...optOut,
  ]);
});

test("a pod that stands alone ends at once, one of several answers until the others are asked instead", () => {
  const containers = (spec: LocalRegistrySpec) => {
    const { objects } = decideHosting(spec, { ...facts, s3Credentials: { hasCa: false } });
    const deployment = objects.find(({ resource }) => resource.kind === "Deployment") ?? assert.fail();
    const { template } = deployment.object.spec as {
      template: { spec: { containers: readonly { args: readonly string[]; lifecycle?: unknown }[] } };
    };
    return template.spec.containers;
  };
  const [alone, itsRegistry] = containers({});
  assert.deepEqual(alone?.args, ["gateway", ...beside]);
  assert.equal(itsRegistry?.lifecycle, undefined);
  const [oneOfTwo, theirRegistry] = containers({
    storage: { s3: { bucket: "images", credentialsSecretRef: { name: "s3" } } },
  });
  assert.deepEqual(oneOfTwo?.args, ["gateway"]);
  assert.deepEqual(theirRegistry?.lifecycle, { preStop: { sleep: { seconds: 6 } } });
});

test("a new token CA or a new secret rolls the pod, nothing else does", () => {
  const annotations = (found: Partial<HostingFacts>) => {
    const { objects } = decideHosting({}, { ...facts, ...found });
    const deployment = objects.find(({ resource }) => resource.kind === "Deployment")?.object;
    const spec = deployment?.spec as { template: { metadata: { annotations: Record<string, string> } } };
    return JSON.stringify(spec.template.metadata.annotations);
  };
  const tokenAuthority = createSelfSigned().cert;
  assert.equal(annotations({}), annotations({ claim: undefined }));
  assert.notEqual(annotations({}), annotations({ tokenAuthority }));
  assert.notEqual(annotations({}), annotations({ secretsHash: "1".repeat(64) }));
});

test("the gateway sees the volume that it measures, and may not write it; on S3 there is none", () => {
  const s3 = { s3: { bucket: "images", credentialsSecretRef: { name: "s3" } } };
  const existing = { persistentVolumeClaim: { existingClaim: "mine" } };
  const claim = { metadata: { name: "mine" }, spec: {} };
  const mount = (storage: LocalRegistrySpec["storage"]) => {
    const found = { ...facts, claim, s3Credentials: { hasCa: false } };
    const { objects } = decideHosting(storage === undefined ? {} : { storage }, found);
    const deployment = objects.find(({ resource }) => resource.kind === "Deployment") ?? assert.fail();
    const { template } = deployment.object.spec as {
      template: { spec: { containers: readonly { volumeMounts: readonly { name: string }[] }[] } };
    };
    return template.spec.containers[0]?.volumeMounts.find(({ name }) => name === "data");
  };
  for (const storage of [undefined, existing, { ephemeral: {} }]) {
    assert.deepEqual(mount(storage), { name: "data", mountPath: "/var/lib/registry", readOnly: true });
  }
  assert.equal(mount(s3), undefined);
});

test("on S3 more pods than two stay, fewer do not; on a volume there is one", () => {
  const s3 = { storage: { s3: { bucket: "images", credentialsSecretRef: { name: "s3" } } } };
  const replicas = (spec: LocalRegistrySpec, running: number | undefined) => {
    const deployment =
      running === undefined ? undefined : { metadata: { name: "registry" }, spec: { replicas: running } };
    const { objects } = decideHosting(spec, { ...facts, s3Credentials: { hasCa: false }, deployment });
    const found = objects.find(({ resource }) => resource.kind === "Deployment") ?? assert.fail();
    return (found.object.spec as { replicas: number }).replicas;
  };
  assert.deepEqual(
    [undefined, 0, 1, 5].map((running) => replicas(s3, running)),
    [2, 2, 2, 5],
  );
  assert.equal(replicas({}, 5), 1);
});
