import assert from "node:assert/strict";
import { before } from "node:test";
import { certsFolder, everyNodePasses } from "./access.ts";
import { type KubernetesJson, openCluster } from "./cluster.ts";
import { eventually } from "./eventually.ts";
import { failedPulls, kindTest, optedInNamespace } from "./harness.ts";
import { makeImage } from "./image.ts";
import { startPods } from "./pod.ts";
import { nodeRows, pushImage, registryHost, slipway } from "./slipway.ts";

before(() => everyNodePasses(openCluster(), "HostsToml"));

kindTest("Auto takes HostsToml, every node passes its contract check, and a pod on each pulls by it", async (test) => {
  const { cluster, t } = test;
  const { spec } = await cluster.get("localregistry", { name: "default" });
  assert.equal(spec.nodeAccess ?? "Auto", "Auto");
  const nodes = await cluster.nodes();
  const expected = [...nodes].sort().map((node) => ({ node, mode: "HostsToml", passed: "yes", contract: "passed" }));
  const found = (await nodeRows(cluster)).map(({ node, mode, passed, contract }) => ({ node, mode, passed, contract }));
  assert.deepEqual(found, expected);
  const namespace = test.namespaceName("each");
  await cluster.apply(optedInNamespace(namespace));
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  const image = await pushImage(cluster, local, `${namespace}/app:1`);
  for (const node of nodes) {
    const hosts = await cluster.onNode(node, ["cat", `${certsFolder}/${registryHost}/hosts.toml`]);
    assert.match(hosts, /^# Managed by slipway/);
  }
  await startPods(
    cluster,
    nodes.map((node) => ({ name: `on-${node}`, namespace, image, node, pullPolicy: "Always" })),
  );
  assert.deepEqual(await failedPulls(cluster, namespace), []);
});

kindTest("contract checks leave no pod and no image but the probe", async ({ cluster }) => {
  for (const namespace of ["slipway-check", "slipway-check-other"]) {
    await cluster.kubectl(["wait", "pods", "--all", "--for=delete", "--namespace", namespace, "--timeout=300s"]);
  }
  // The probe is pushed by its own task, which may still wait for its turn.
  let left: readonly string[] = [];
  await eventually("what is left is the probe", async () => {
    const images: readonly KubernetesJson[] = JSON.parse(await slipway(cluster, ["images", "ls", "--output", "json"]));
    const ours = images.filter(({ repository }) => repository.startsWith("slipway-check"));
    left = ours.map(({ repository, tag }) => `${repository}:${tag}`);
    return left.join() === "slipway-check/probe:latest" ? true : undefined;
  }).catch((error: Error) => assert.fail(`${error.message}; left: ${left}`));
});
