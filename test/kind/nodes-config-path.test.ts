import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { certsFolder, hostIn, nodeRows, podOn, push, setMode } from "./access.ts";
import { clusterOf, execute } from "./cluster.ts";
import { failedPulls, kindTest, optedInNamespace } from "./harness.ts";
import { makeImage } from "./image.ts";

const script = (name: string) => fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url));

/** What containerd up to 2.1 has by itself: no folder in which it would look for hosts.toml. */
const withoutConfigPath = `[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = ""\n`;

// A cluster of its own: config_path is read at containerd's start, and Auto chooses for all nodes.
kindTest(
  "containerd without config_path is detected, and Auto takes LoopbackProxy, by which pods pull",
  async (test) => {
    const { t } = test;
    const name = `${test.cluster.name}-bare`;
    const folder = await mkdtemp(join(tmpdir(), "slipway-kind-"));
    t.after(async () => {
      await execute(script("kind-down"), ["--name", name]);
      await rm(folder, { recursive: true, force: true });
    });
    const patch = join(folder, "patch.toml");
    await writeFile(patch, withoutConfigPath);
    await execute(script("kind-up"), ["--name", name, "--containerd-patch", patch]);
    const kubeconfig = fileURLToPath(new URL(`../../.cache/kind/${name}.kubeconfig`, import.meta.url));
    const cluster = clusterOf(name, kubeconfig);
    const registry = await cluster.get("localregistry", { name: "default" });
    assert.equal(registry.spec.nodeAccess ?? "Auto", "Auto");
    assert.equal(registry.status.nodes.mode, "LoopbackProxy");
    const ready = registry.status.conditions.find(({ type }: { type: string }) => type === "NodesReady");
    assert.equal(ready.status, "True", ready.message);
    // Why, where, and what to set.
    assert.match(ready.message, /HostsToml does not on \S+ \(ConfigPathUnset: .*config_path/);
    const namespace = `bare-${test.word()}`;
    const local = `slipway-test/${test.word()}:1`;
    await makeImage(t, local, test.word());
    const image = await push(cluster, local, `${namespace}/app:1`);
    await cluster.apply(optedInNamespace(namespace));
    const [node = ""] = await cluster.nodes();
    await cluster.apply(podOn(node, { name: "app", namespace, image }));
    await cluster.wait("pod/app", "condition=Ready", { namespace });
    const { spec } = await cluster.get("pod", { name: "app", namespace });
    assert.equal(spec.containers[0].image, `${hostIn.LoopbackProxy}/${namespace}/app:1`);
    assert.deepEqual(await failedPulls(cluster, namespace), []);
    await setMode(cluster, "Auto", "LoopbackProxy");

    // Ordered all the same, the mode says what is missing and what to set on that node.
    await cluster.kubectl([
      "patch",
      "localregistry",
      "default",
      "--type=merge",
      '-p={"spec":{"nodeAccess":"HostsToml"}}',
    ]);
    await cluster.wait("localregistry/default", "jsonpath={.status.nodes.mode}=HostsToml");
    await cluster.wait("localregistry/default", "jsonpath={.status.nodes.summary}=0/1");
    const [row] = await nodeRows(cluster);
    assert.equal(row.reason, "ConfigPathUnset");
    assert.ok(row.message.includes(certsFolder), row.message);
  },
);
