import assert from "node:assert/strict";
import { certsFolder, hostIn, orderMode, setMode } from "../access.ts";
import type { Cluster } from "../cluster.ts";
import { eventually } from "../eventually.ts";
import { failedPulls, type KindTest, kindTest, optedInNamespace } from "../harness.ts";
import { makeImage } from "../image.ts";
import { startPod } from "../pod.ts";
import { nodeRows, pushImage, registryHost } from "../slipway.ts";

export function proveDetection(open: () => Cluster): void {
  const name = "containerd without config_path is detected, and Auto takes LoopbackProxy, by which pods pull";
  kindTest(name, detect, open);
}

async function detect(test: KindTest): Promise<void> {
  const { cluster, t } = test;
  const { spec, status } = await cluster.get("localregistry", { name: "default" });
  assert.equal(spec.nodeAccess ?? "Auto", "Auto");
  assert.equal(status.nodes.mode, "LoopbackProxy");
  // Why, where, and what to set.
  const ready = status.conditions.find(({ type }: { type: string }) => type === "NodesReady");
  assert.match(ready.message, /HostsToml does not on \S+ \(ConfigPathUnset: .*config_path/);
  const namespace = test.namespaceName("bare");
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  const image = await pushImage(cluster, local, `${namespace}/app:1`);
  await cluster.apply(optedInNamespace(namespace));
  await startPod(cluster, { name: "app", namespace, image, pullPolicy: "Always" });
  const pod = await cluster.get("pod", { name: "app", namespace });
  assert.equal(pod.spec.containers[0].image, image.replace(registryHost, hostIn.LoopbackProxy));
  assert.deepEqual(await failedPulls(cluster, namespace), []);
  await setMode(cluster, "Auto", "LoopbackProxy");

  // Ordered all the same, the mode says what is missing and what to set on that node.
  t.after(() => setMode(cluster, "Auto", "LoopbackProxy"));
  await orderMode(cluster, "HostsToml");
  await cluster.wait("localregistry/default", "jsonpath={.status.nodes.mode}=HostsToml");
  await cluster.wait("localregistry/default", "jsonpath={.status.nodes.summary}=0/1");
  const row = await eventually("the node's row says why", async () => {
    const [found] = await nodeRows(cluster);
    return found.reason === "ConfigPathUnset" ? found : undefined;
  });
  assert.ok(row.message.includes(certsFolder), row.message);
}
