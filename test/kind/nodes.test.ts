import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { certsFolder, nodeRows, podOn, push, registry } from "./access.ts";
import { type Cluster, execute, type KubernetesJson } from "./cluster.ts";
import { failedPulls, kindTest, optedInNamespace } from "./harness.ts";
import { makeImage } from "./image.ts";
import { type JoiningNode, startNode, waitOnNode } from "./join-node.ts";

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const component = fileURLToPath(new URL("../../manifests/components/node-taint", import.meta.url));
const folder = `${certsFolder}/${registry}`;
const taint = { key: "slipway.dev/not-ready", effect: "NoSchedule" } as const;

/** The contract check of every node has ended: its result is in ConfigMap slipway-nodes. */
async function waitForContract(cluster: Cluster, node: string): Promise<void> {
  const path = `{.data._contract\\.${node.replaceAll(".", "\\.")}}`;
  await cluster.wait("configmap/slipway-nodes", `jsonpath=${path}`, { namespace: "slipway-system" });
}

kindTest("Auto takes HostsToml, every node passes its contract check, and a pod on each pulls by it", async (test) => {
  const { cluster, t } = test;
  const nodes = await cluster.nodes();
  for (const node of nodes) await waitForContract(cluster, node);
  const expected = [...nodes].sort().map((node) => ({ node, mode: "HostsToml", passed: "yes", contract: "passed" }));
  const found = (await nodeRows(cluster)).map(({ node, mode, passed, contract }) => ({ node, mode, passed, contract }));
  assert.deepEqual(found, expected);
  const namespace = test.namespaceName("each");
  await cluster.apply(optedInNamespace(namespace));
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  const image = await push(cluster, local, `${namespace}/app:1`);
  for (const [index, node] of nodes.entries()) {
    assert.match(await cluster.onNode(node, ["cat", `${folder}/hosts.toml`]), /^# Managed by slipway/);
    await cluster.apply(podOn(node, { name: `on-${index}`, namespace, image }));
  }
  for (const index of nodes.keys()) await cluster.wait(`pod/on-${index}`, "condition=Ready", { namespace });
  assert.deepEqual(await failedPulls(cluster, namespace), []);
});

kindTest("contract checks leave no pod and no image but the probe", async ({ cluster }) => {
  for (const node of await cluster.nodes()) await waitForContract(cluster, node);
  for (const namespace of ["slipway-check", "slipway-check-other"]) {
    await cluster.kubectl(["wait", "pods", "--all", "--for=delete", "--namespace", namespace, "--timeout=30s"]);
  }
  const args = [main, "images", "ls", "--kubeconfig", cluster.kubeconfig, "--output", "json"];
  const images: readonly KubernetesJson[] = JSON.parse(await execute(process.execPath, args));
  const ours = images.filter(({ repository }) => repository.startsWith("slipway-check"));
  assert.deepEqual(
    ours.map(({ repository, tag }) => `${repository}:${tag}`),
    ["slipway-check/probe:latest"],
  );
});

kindTest("files of a node that were wiped, cut off or overwritten are back within a minute", async ({ cluster }) => {
  const [node = ""] = await cluster.nodes();
  const content = `cd ${folder} && cat hosts.toml slipway-ca.crt ../${registry}.cluster.local/*`;
  const before = await cluster.onNode(node, ["sh", "-c", content]);
  const damage = `printf '\\000rubbish' > hosts.toml && rm slipway-ca.crt && rm -r ../${registry}.cluster.local`;
  await cluster.onNode(node, ["sh", "-c", `cd ${folder} && ${damage}`]);
  await waitOnNode(cluster, node, `test "$(${content} | sha256sum)" = "$(printf %s '${before}' | sha256sum)"`, 65);
});

kindTest("a node that joins with the taint gets its pods when it passes, and no pull fails", async (test) => {
  const { cluster, t } = test;
  const namespace = test.namespaceName("joins");
  const name = `${cluster.name}-joining-${test.word()}`;
  let node: JoiningNode | undefined;
  // The node first: a replica of serve that restarts must not land on it.
  t.after(async () => {
    await node?.remove();
    await setTaintOption(cluster, "SLIPWAY_NODE_TAINT-");
    await cluster.kubectl(["delete", "-f", `${component}/rights.yaml`]);
  });
  await cluster.kubectl(["apply", "-f", `${component}/rights.yaml`]);
  await setTaintOption(cluster, "SLIPWAY_NODE_TAINT=true");
  await cluster.apply(optedInNamespace(namespace));
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  const image = await push(cluster, local, `${namespace}/app:1`);
  await cluster.apply(podOn(name, { name: "waiting", namespace, image }));
  await cluster.wait("pod/waiting", "condition=PodScheduled=False", { namespace });
  const deployment = await cluster.get("deployment", { name: "slipway", namespace: "slipway-system" });
  const images = [deployment.spec.template.spec.containers[0].image];
  node = await startNode(cluster, name, { taint, images });
  await node.join();
  await cluster.wait(`node/${name}`, "create");
  const joined = await cluster.get("node", { name });
  assert.ok(
    joined.spec.taints.some(({ key }: { key: string }) => key === taint.key),
    "the node joined without the taint",
  );
  await cluster.wait("pod/waiting", "condition=Ready", { namespace, timeoutSeconds: 180 });
  assert.deepEqual(await failedPulls(cluster, namespace), []);
  const { spec } = await cluster.get("node", { name });
  assert.ok(!(spec.taints ?? []).some(({ key }: { key: string }) => key === taint.key), "the taint is still there");
});

async function setTaintOption(cluster: Cluster, setting: string): Promise<void> {
  await cluster.kubectl(["set", "env", "deployment/slipway", setting, "--namespace", "slipway-system"]);
  await cluster.kubectl(["rollout", "status", "deployment/slipway", "--namespace", "slipway-system", "--timeout=180s"]);
}
