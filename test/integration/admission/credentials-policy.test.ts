import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { manifestsFolder, startTestCluster, type TestCluster } from "../manifests/cluster.ts";
import { eventually } from "./environment.ts";
import { imagesOf, type Pod, pullSecretsOf } from "./pod.ts";

// The component alone: neither serve nor its webhook is there.

let cluster: TestCluster;
const optedIn = { "slipway.dev/inject": "enabled" };

before(async () => {
  cluster = await startTestCluster(undefined, { "disable-admission-plugins": "ServiceAccount" });
  await cluster.kubectl(["apply", "-f", `${manifestsFolder}/components/credentials-policy/policy.yaml`]);
  await createNamespace("shop", optedIn);
  await createNamespace("stranger", {});
  await createNamespace("slipway-node", optedIn);
  await eventually("the policy to be in force", async () => {
    const { body } = await create("shop", { spec: {} }, true);
    return pullSecretsOf(body as Pod).length > 0;
  });
});
after(() => cluster.stop());

async function createNamespace(name: string, labels: Readonly<Record<string, string>>): Promise<void> {
  const { status } = await cluster.send({
    method: "POST",
    path: "/api/v1/namespaces",
    body: { metadata: { name, labels } },
  });
  assert.equal(status, 201);
}

type Parts = {
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly spec?: Readonly<Record<string, unknown>>;
};

function create(namespace: string, { metadata, spec }: Parts, dryRun = false) {
  const body = {
    metadata: { generateName: "a-", ...metadata },
    spec: { containers: [{ name: "a", image: "nginx" }], ...spec },
  };
  return cluster.send({
    method: "POST",
    path: `/api/v1/namespaces/${namespace}/pods${dryRun ? "?dryRun=All" : ""}`,
    body,
  });
}

const cases: readonly { name: string; namespace?: string; parts: Parts; secrets: readonly string[] }[] = [
  { name: "a pod without a list gets one", parts: {}, secrets: ["slipway-pull"] },
  { name: "an empty list is filled", parts: { spec: { imagePullSecrets: [] } }, secrets: ["slipway-pull"] },
  {
    name: "the user's own stay, in order, and come first",
    parts: { spec: { imagePullSecrets: [{ name: "b" }, { name: "a" }] } },
    secrets: ["b", "a", "slipway-pull"],
  },
  {
    name: "one that is there already is not added twice",
    parts: { spec: { imagePullSecrets: [{ name: "slipway-pull" }, { name: "a" }] } },
    secrets: ["slipway-pull", "a"],
  },
  {
    name: "an entry without a name does no harm",
    parts: { spec: { imagePullSecrets: [{}] } },
    secrets: ["", "slipway-pull"],
  },
  { name: "a namespace without the label", namespace: "stranger", parts: {}, secrets: [] },
  { name: "a namespace of Slipway's own", namespace: "slipway-node", parts: {}, secrets: [] },
  { name: "a pod that opts out", parts: { metadata: { labels: { "slipway.dev/inject": "disabled" } } }, secrets: [] },
  {
    name: "a mirror pod",
    parts: {
      metadata: { annotations: { "kubernetes.io/config.mirror": "x" } },
      spec: { nodeName: "n" },
    },
    secrets: [],
  },
];

describe("the policy alone", () => {
  for (const { name, namespace = "shop", parts, secrets } of cases) {
    test(name, async () => {
      const { status, body } = await create(namespace, parts);
      assert.equal(status, 201, JSON.stringify(body));
      assert.deepEqual(
        (body.spec.imagePullSecrets ?? []).map((entry: { name?: string }) => entry.name ?? ""),
        secrets,
      );
      assert.deepEqual(imagesOf(body as Pod), ["nginx"], "references are not its business");
    });
  }
});
