import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Cluster, KubernetesJson } from "../cluster.ts";
import { kindTest, optedInNamespace } from "../harness.ts";
import { makeImage } from "../image.ts";
import { eventsOf, type PodWish, podManifest, startPod, waitForRefusal } from "../pod.ts";
import { pushImage, registryHost } from "../slipway.ts";

const pods = ["--namespace", "slipway-system", "--selector", "app.kubernetes.io/component=registry"];

/** A node on which the registry itself does not run, where there is one. */
async function nodeToCutOff(cluster: Cluster): Promise<string> {
  const { items } = await cluster.get("pods", { namespace: "slipway-system" });
  const homes = items
    .filter(({ metadata }: KubernetesJson) => metadata.labels?.["app.kubernetes.io/component"] === "registry")
    .map(({ spec }: KubernetesJson) => spec.nodeName);
  const nodes = await cluster.nodes();
  const node = nodes.find((name) => !homes.includes(name)) ?? nodes[0];
  assert.ok(node !== undefined);
  return node;
}

/**
 * Takes a node's routes to the Service and to its endpoints away, until the test is over. The node's own kubelet has to
 * go on probing pods of its own, so endpoints on the node itself keep theirs.
 */
async function cutOff(t: TestContext, cluster: Cluster, node: string): Promise<void> {
  const service = await cluster.get("service", { name: "registry", namespace: "slipway-system" });
  const { items } = JSON.parse(await cluster.kubectl(["get", "pods", ...pods, "-o", "json"]));
  const elsewhere = items.filter(({ spec }: KubernetesJson) => spec.nodeName !== node);
  const addresses = [...service.spec.clusterIPs, ...elsewhere.map(({ status }: KubernetesJson) => status.podIP)];
  for (const address of addresses) {
    await cluster.onNode(node, ["ip", "route", "add", "unreachable", address]);
    t.after(() => cluster.onNode(node, ["ip", "route", "del", "unreachable", address]));
  }
  t.after(() => cluster.wait("localregistry/default", "condition=NodesReady", { timeoutSeconds: 600 }));
}

kindTest("a node cut off from the registry starts a shared image, and no other namespace's", async (test) => {
  const { cluster, t } = test;
  const node = await nodeToCutOff(cluster);
  const owner = test.namespaceName("owner");
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  const shared = await pushImage(cluster, local, `docker.io/library/slipway-${test.word()}:1`);
  const own = await pushImage(cluster, local, `${owner}/app:1`);
  await cluster.apply(optedInNamespace(owner));
  for (const [name, image] of [
    ["shared", shared],
    ["own", own],
  ] as const) {
    await startPod(cluster, { name, namespace: owner, image, node });
  }
  const { status } = await cluster.get("pod", { name: "own", namespace: owner });
  const digest = /@(sha256:\w+)$/.exec(status.containerStatuses[0].imageID)?.[1];
  assert.ok(digest !== undefined, status.containerStatuses[0].imageID);

  await cutOff(t, cluster, node);
  await assert.rejects(
    cluster.onNode(node, ["curl", "--insecure", "--max-time", "5", `https://${await addressOf(cluster)}/v2/`]),
    /ended with 7/,
    "the node still reaches the registry",
  );

  const newcomer = test.namespaceName("newcomer");
  await cluster.apply(optedInNamespace(newcomer));
  const policies = ["IfNotPresent", "Never"] as const;
  for (const pullPolicy of policies) {
    const name = `shared-${pullPolicy.toLowerCase()}`;
    await startPod(cluster, { name, namespace: newcomer, image: shared, node, pullPolicy });
  }
  await startPod(cluster, { name: "again", namespace: owner, image: own, node, pullPolicy: "IfNotPresent" });

  const byDigest = `${registryHost}/${owner}/app@${digest}`;
  const refused = ["ErrImagePull", "ImagePullBackOff"];
  const stolen: readonly (PodWish & { readonly reasons: readonly string[] })[] = [
    { name: "tag", image: own, pullPolicy: "IfNotPresent" as const, reasons: refused },
    { name: "digest", image: byDigest, pullPolicy: "IfNotPresent" as const, reasons: refused },
    { name: "never", image: own, pullPolicy: "Never" as const, reasons: ["ErrImageNeverPull"] },
  ].map((wish) => ({ ...wish, namespace: newcomer, node }));
  for (const wish of stolen) await cluster.apply(podManifest(wish));
  for (const wish of stolen) {
    await waitForRefusal(cluster, wish, wish.reasons);
    assert.doesNotMatch(await eventsOf(cluster, wish), /Started/);
    // It is there all the same: what refuses is kubelet's own check.
    await cluster.onNode(node, ["crictl", "inspecti", "--quiet", wish.image]);
  }
});

async function addressOf(cluster: Cluster): Promise<string> {
  return (await cluster.get("service", { name: "registry", namespace: "slipway-system" })).spec.clusterIP;
}
