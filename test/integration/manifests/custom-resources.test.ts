import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { ImageRewriteSpec, ImageRewriteStatus } from "../../../src/config/image-rewrite.ts";
import type { LocalRegistrySpec, LocalRegistryStatus } from "../../../src/config/local-registry.ts";
import type { PullCredentialSpec, PullCredentialStatus } from "../../../src/config/pull-credential.ts";
import { startTestCluster, type TestCluster } from "./cluster.ts";

let cluster: TestCluster;
before(async () => {
  cluster = await startTestCluster("crds");
});
after(() => cluster.stop());

const plurals = {
  LocalRegistry: "localregistries",
  PullCredential: "pullcredentials",
  ImageRewrite: "imagerewrites",
} as const;

type Kind = keyof typeof plurals;

function pathOf(kind: Kind, rest = ""): string {
  return `/apis/slipway.dev/v1alpha1/${plurals[kind]}${rest}?fieldValidation=Strict`;
}

function create(kind: Kind, spec: unknown, options: { name?: string; dryRun?: boolean } = {}) {
  const { name = "default", dryRun = true } = options;
  const body = { apiVersion: "slipway.dev/v1alpha1", kind, metadata: { name }, spec };
  return cluster.send({ method: "POST", path: `${pathOf(kind)}${dryRun ? "&dryRun=All" : ""}`, body });
}

const condition = {
  type: "Ready",
  status: "True",
  reason: "AllGood",
  message: "everything works",
  observedGeneration: 1,
  lastTransitionTime: "2026-01-01T00:00:00Z",
} as const;

const selector = {
  matchLabels: { team: "a" },
  matchExpressions: [
    { key: "stage", operator: "In", values: ["test"] },
    { key: "old", operator: "DoesNotExist" },
  ],
} as const;

const fullLocalRegistry: LocalRegistrySpec = {
  storage: {
    persistentVolumeClaim: { size: "20Gi", storageClassNames: ["fast", "standard"] },
    reclaimPolicy: "Delete",
  },
  host: "registry.example.com:5000",
  aliases: ["container-registry.local:5000", "builds.registry.svc.cluster.local"],
  exposure: {
    nodePort: 32000,
    ingress: { host: "registry.example.com", className: "nginx", tlsSecretName: "registry-tls" },
    extraNames: ["registry.example.org", "*.example.org", "192.0.2.7", "2001:db8::7"],
  },
  certificate: { secretName: "registry-example-com" },
  nodeAccess: "HostsToml",
  loopbackPort: 7000,
  auth: { sharedRepositories: ["docker.io/library/**", "quay.io/team/*", "base-images"] },
  resources: { requests: { cpu: "100m", memory: "1Gi" }, limits: { memory: 1073741824 } },
  nodeSelector: { "kubernetes.io/os": "linux" },
  tolerations: [{ key: "dedicated", operator: "Equal", value: "registry", effect: "NoSchedule" }],
  maintenance: { readOnly: true },
};

const localRegistryStatus: Required<LocalRegistryStatus> = {
  observedGeneration: 1,
  conditions: [condition],
  endpoints: { host: "localhost:1", hostFromContainerRuntime: "a.example:1", hostFromClusterNetwork: "a.example" },
  nodes: { mode: "HostsToml", ready: 1, total: 2, summary: "1/2", failing: [{ name: "b", reason: "PortTaken" }] },
  bytesUsed: 1,
};

const fullPullCredential: Required<PullCredentialSpec> = {
  sources: [{ secretRef: { name: "hub", key: "config.json" } }, { file: { path: "team/config.json" } }],
  namespaceSelector: selector,
  injection: "WhenUsed",
};

const pullCredentialStatus: Required<PullCredentialStatus> = {
  observedGeneration: 1,
  conditions: [condition],
  registries: ["quay.io"],
  conflicts: [{ registry: "quay.io", winner: "PullCredential base" }],
  observedRevision: 3,
  namespaces: { synced: 1, total: 2, summary: "1/2", failing: [{ name: "b", reason: "Foreign" }] },
};

const fullImageRewrite: Required<ImageRewriteSpec> = {
  rules: [
    {
      match: { registry: "*.example.com", repository: "team/**" },
      exclude: [{ repository: "team/x" }],
      target: "local",
    },
    { match: { registry: "docker.io" }, target: "mirror.example.com:5000/hub", keepHost: false },
  ],
  when: "Always",
  namespaceSelector: selector,
  podSelector: selector,
};

const imageRewriteStatus: Required<ImageRewriteStatus> = {
  observedGeneration: 1,
  conditions: [condition],
  order: 1,
  rules: { active: 1, total: 2, summary: "1/2" },
  inactive: [{ rule: 1, reason: "collides with rule 0 of default" }],
};

type FullCase = { kind: Kind; name: string; spec: unknown; status: unknown; columns: readonly string[] };

describe("every field of the types is a field of the schema, comes back unchanged, and shows in the columns", () => {
  const cases: readonly FullCase[] = [
    {
      kind: "LocalRegistry",
      name: "default",
      spec: fullLocalRegistry,
      status: localRegistryStatus,
      columns: ["default", "True", "HostsToml", "1/2", "a.example:1"],
    },
    {
      kind: "PullCredential",
      name: "full",
      spec: fullPullCredential,
      status: pullCredentialStatus,
      columns: ["full", '["quay.io"]', "1/2", "True"],
    },
    {
      kind: "ImageRewrite",
      name: "full",
      spec: fullImageRewrite,
      status: imageRewriteStatus,
      columns: ["full", "1", "1/2", "True"],
    },
  ];
  for (const { kind, name, spec, status, columns } of cases) {
    test(kind, async (t) => {
      t.after(() => cluster.send({ method: "DELETE", path: pathOf(kind, `/${name}`) }));
      const created = await create(kind, spec, { name, dryRun: false });
      assert.equal(created.status, 201, created.body.message);
      assert.deepEqual(created.body.spec, spec);
      const body = { ...created.body, status };
      const updated = await cluster.send({ method: "PUT", path: pathOf(kind, `/${name}/status`), body });
      assert.equal(updated.status, 200, updated.body.message);
      assert.deepEqual(updated.body.status, status);
      const row = await cluster.kubectl(["get", kind, name, "--no-headers"]);
      assert.deepEqual(row.split(/\s+/).slice(0, columns.length), columns);
    });
  }
});

test("defaults are filled in", async () => {
  const { body } = await create("LocalRegistry", undefined);
  assert.deepEqual(body.spec, {
    auth: { sharedRepositories: ["docker.io/library/**"] },
    loopbackPort: 7443,
    nodeAccess: "Auto",
  });
  const claim = await create("LocalRegistry", { storage: { persistentVolumeClaim: {} } });
  assert.deepEqual(claim.body.spec.storage, { persistentVolumeClaim: { size: "10Gi" }, reclaimPolicy: "Retain" });
  assert.equal((await create("ImageRewrite", { rules: [] })).body.spec.when, "IfPresent");
  assert.equal((await create("PullCredential", { sources: [] })).body.spec.injection, "Always");
});

const s3 = { bucket: "images", credentialsSecretRef: { name: "s3" } };
const external = { url: "https://registry.example.com" };
const rule = { target: "local" };

const accepted: readonly { name: string; kind: Kind; spec: unknown }[] = [
  { name: "a registry in a bucket", kind: "LocalRegistry", spec: { storage: { s3 } } },
  { name: "a registry that forgets", kind: "LocalRegistry", spec: { storage: { ephemeral: {} } } },
  {
    name: "an existing registry",
    kind: "LocalRegistry",
    spec: { external: { ...external, url: "https://10.0.0.7:5000" } },
  },
  {
    name: "an existing claim",
    kind: "LocalRegistry",
    spec: { storage: { persistentVolumeClaim: { existingClaim: "old" } } },
  },
  { name: "a host with a port and no dot", kind: "LocalRegistry", spec: { host: "registry:5000" } },
  { name: "nothing shared", kind: "LocalRegistry", spec: { auth: { sharedRepositories: [] } } },
  {
    name: "a mirrored host with a port among the shared",
    kind: "LocalRegistry",
    spec: { auth: { sharedRepositories: ["a.example_5000/**"] } },
  },
  { name: "256 rules", kind: "ImageRewrite", spec: { rules: Array.from({ length: 256 }, () => rule) } },
  { name: "a target with a port and no dot", kind: "ImageRewrite", spec: { rules: [{ target: "mirror:5000" }] } },
  {
    name: "a match of any registry",
    kind: "ImageRewrite",
    spec: { rules: [{ match: { registry: "*" }, target: "local" }] },
  },
  { name: "a credential without sources", kind: "PullCredential", spec: { sources: [] } },
];

describe("accepted", () => {
  for (const { name, kind, spec } of accepted) {
    test(`${kind}: ${name}`, async () => {
      const { status, body } = await create(kind, spec);
      assert.equal(status, 201, body.message);
    });
  }
});

const host = (text: string) => ({ host: text });
const alias = (text: string) => ({ aliases: [text] });
const shared = (text: string) => ({ auth: { sharedRepositories: [text] } });
const target = (text: string) => ({ rules: [{ target: text }] });
const requirement = (expression: unknown) => ({ rules: [rule], podSelector: { matchExpressions: [expression] } });

/** `says` is a part of the API server's message: a refusal for another reason proves nothing. */
const refused: readonly { name: string; kind: Kind; spec: unknown; says: string }[] = [
  {
    name: "two storages",
    kind: "LocalRegistry",
    spec: { storage: { s3, ephemeral: {} } },
    says: "exactly one of persistentVolumeClaim",
  },
  {
    name: "no storage in storage",
    kind: "LocalRegistry",
    spec: { storage: { reclaimPolicy: "Delete" } },
    says: "exactly one of persistentVolumeClaim",
  },
  {
    name: "storage of an external registry",
    kind: "LocalRegistry",
    spec: { external, storage: { ephemeral: {} } },
    says: "external and storage exclude",
  },
  {
    name: "exposure of an external registry",
    kind: "LocalRegistry",
    spec: { external, exposure: { nodePort: 32000 } },
    says: "external and exposure exclude",
  },
  {
    name: "an external registry without TLS",
    kind: "LocalRegistry",
    spec: { external: { url: "http://registry.example.com" } },
    says: "spec.external.url",
  },
  {
    name: "an external registry below a path",
    kind: "LocalRegistry",
    spec: { external: { url: "https://registry.example.com/v2" } },
    says: "spec.external.url",
  },
  {
    name: "Docker Hub as external registry",
    kind: "LocalRegistry",
    spec: { external: { url: "https://registry-1.docker.io" } },
    says: "must not be Docker Hub",
  },
  {
    name: "an external port above 65535",
    kind: "LocalRegistry",
    spec: { external: { url: "https://a.example:70000" } },
    says: "spec.external.url",
  },
  {
    name: "a size that is no quantity",
    kind: "LocalRegistry",
    spec: { storage: { persistentVolumeClaim: { size: "10 GB" } } },
    says: "must be a Kubernetes quantity",
  },
  {
    name: "a size of zero",
    kind: "LocalRegistry",
    spec: { storage: { persistentVolumeClaim: { size: "0" } } },
    says: "must be a Kubernetes quantity",
  },
  {
    name: "an existing claim with a class",
    kind: "LocalRegistry",
    spec: { storage: { persistentVolumeClaim: { existingClaim: "a", storageClassNames: ["b"] } } },
    says: "existingClaim and storageClassNames",
  },
  {
    name: "a bucket without credentials",
    kind: "LocalRegistry",
    spec: { storage: { s3: { bucket: "images" } } },
    says: "credentialsSecretRef",
  },
  { name: "a host with a path", kind: "LocalRegistry", spec: host("a.example/b"), says: "spec.host" },
  { name: "a host that climbs", kind: "LocalRegistry", spec: host("a..example"), says: "spec.host" },
  { name: "containerd's default host", kind: "LocalRegistry", spec: host("_default"), says: "spec.host" },
  { name: "a host in upper case", kind: "LocalRegistry", spec: host("A.example"), says: "spec.host" },
  { name: "a host without dot and port", kind: "LocalRegistry", spec: host("registry"), says: "needs a dot or a port" },
  {
    name: "a port above 65535",
    kind: "LocalRegistry",
    spec: host("a.example:65536"),
    says: "the port must be at most 65535",
  },
  { name: "Docker Hub as host", kind: "LocalRegistry", spec: host("docker.io"), says: "must not be Docker Hub" },
  {
    name: "Docker Hub with a port as host",
    kind: "LocalRegistry",
    spec: host("index.docker.io:443"),
    says: "must not be Docker Hub",
  },
  { name: "an alias with a path", kind: "LocalRegistry", spec: alias("a.example/b"), says: "spec.aliases[0]" },
  {
    name: "containerd's default host as alias",
    kind: "LocalRegistry",
    spec: alias("_default"),
    says: "spec.aliases[0]",
  },
  {
    name: "Docker Hub's API as alias",
    kind: "LocalRegistry",
    spec: alias("registry-1.docker.io"),
    says: "must not be Docker Hub",
  },
  {
    name: "Docker Hub's old name as alias",
    kind: "LocalRegistry",
    spec: alias("registry.hub.docker.com"),
    says: "must not be Docker Hub",
  },
  { name: "an alias with an empty port", kind: "LocalRegistry", spec: alias("a.example:"), says: "spec.aliases[0]" },
  {
    name: "the same alias twice",
    kind: "LocalRegistry",
    spec: { aliases: ["a.example", "a.example"] },
    says: "Duplicate value",
  },
  {
    name: "a shared pattern that begins with a glob",
    kind: "LocalRegistry",
    spec: shared("**"),
    says: "sharedRepositories[0]",
  },
  {
    name: "a shared pattern with a glob in the first segment",
    kind: "LocalRegistry",
    spec: shared("docker.*/library"),
    says: "sharedRepositories[0]",
  },
  {
    name: "a shared pattern that climbs",
    kind: "LocalRegistry",
    spec: shared("docker.io/../team"),
    says: "must not contain",
  },
  {
    name: "a shared pattern in upper case",
    kind: "LocalRegistry",
    spec: shared("Docker.io/**"),
    says: "sharedRepositories[0]",
  },
  { name: "an unknown mode", kind: "LocalRegistry", spec: { nodeAccess: "Magic" }, says: "Unsupported value" },
  {
    name: "the agent's own port as loopback port",
    kind: "LocalRegistry",
    spec: { loopbackPort: 7444 },
    says: "7444 is taken",
  },
  {
    name: "a further name with a port",
    kind: "LocalRegistry",
    spec: { exposure: { extraNames: ["a.example:1"] } },
    says: "without a port",
  },
  { name: "a field that does not exist", kind: "LocalRegistry", spec: { hots: "a.example" }, says: "unknown field" },
  {
    name: "257 rules",
    kind: "ImageRewrite",
    spec: { rules: Array.from({ length: 257 }, () => rule) },
    says: "must have at most 256 items",
  },
  { name: "a rule without target", kind: "ImageRewrite", spec: { rules: [{}] }, says: "target" },
  { name: "a target without dot and port", kind: "ImageRewrite", spec: target("mirror/hub"), says: "rules[0].target" },
  { name: "a target with a tag", kind: "ImageRewrite", spec: target("a.example/b:1"), says: "rules[0].target" },
  { name: "a target that climbs", kind: "ImageRewrite", spec: target("a.example/../b"), says: "rules[0].target" },
  { name: "local with a path", kind: "ImageRewrite", spec: target("local/b"), says: "rules[0].target" },
  {
    name: "keepHost of local",
    kind: "ImageRewrite",
    spec: { rules: [{ target: "local", keepHost: false }] },
    says: "keepHost has no meaning",
  },
  { name: "an unknown when", kind: "ImageRewrite", spec: { rules: [], when: "Sometimes" }, says: "Unsupported value" },
  {
    name: "a match with a star inside a host",
    kind: "ImageRewrite",
    spec: { rules: [{ match: { registry: "a.*.example" }, target: "local" }] },
    says: "match.registry",
  },
  {
    name: "In without values",
    kind: "ImageRewrite",
    spec: requirement({ key: "a", operator: "In" }),
    says: "In and NotIn need values",
  },
  {
    name: "Exists with values",
    kind: "ImageRewrite",
    spec: requirement({ key: "a", operator: "Exists", values: ["b"] }),
    says: "In and NotIn need values",
  },
  { name: "no spec", kind: "ImageRewrite", spec: undefined, says: "spec: Required value" },
  {
    name: "a source of two kinds",
    kind: "PullCredential",
    spec: { sources: [{ secretRef: { name: "a" }, file: { path: "b" } }] },
    says: "exactly one of secretRef and file",
  },
  {
    name: "a source of no kind",
    kind: "PullCredential",
    spec: { sources: [{}] },
    says: "exactly one of secretRef and file",
  },
  {
    name: "a file outside the folder",
    kind: "PullCredential",
    spec: { sources: [{ file: { path: "a/../../b" } }] },
    says: "must not leave the folder",
  },
  {
    name: "an absolute file",
    kind: "PullCredential",
    spec: { sources: [{ file: { path: "/etc/passwd" } }] },
    says: "must be relative",
  },
  {
    name: "a Secret's name in upper case",
    kind: "PullCredential",
    spec: { sources: [{ secretRef: { name: "A" } }] },
    says: "secretRef.name",
  },
  {
    name: "an unknown injection",
    kind: "PullCredential",
    spec: { sources: [], injection: "Never" },
    says: "Unsupported value",
  },
];

describe("refused, with the reason", () => {
  for (const { name, kind, spec, says } of refused) {
    test(`${kind}: ${name}`, async () => {
      const { status, body } = await create(kind, spec);
      assert.ok(status === 422 || status === 400, `answered ${status}`);
      assert.ok(String(body.message).includes(says), body.message);
    });
  }

  test("LocalRegistry: another name than default", async () => {
    const { status, body } = await create("LocalRegistry", {}, { name: "second" });
    assert.equal(status, 422);
    assert.match(body.message, /its name is default/);
  });
});
