import assert from "node:assert/strict";
import { before, describe, type TestContext } from "node:test";
import { certsFolder, everyNodePasses, orderMode, setMode } from "./access.ts";
import { dryRun, everyReplicaGives } from "./admission.ts";
import { type Cluster, execute, type KubernetesJson, openCluster } from "./cluster.ts";
import { applyComponents } from "./components.ts";
import { eventually } from "./eventually.ts";
import { failedPulls, kindTest, optedInNamespace } from "./harness.ts";
import { makeImage } from "./image.ts";
import { type JoiningNode, startNode } from "./join-node.ts";
import { podManifest, startPod } from "./pod.ts";
import { nodeRows, pushImage, registryHost } from "./slipway.ts";
import { firstEvent, watchOne } from "./watch.ts";

const folder = `${certsFolder}/${registryHost}`;
const taint = { key: "slipway.dev/not-ready", effect: "NoSchedule" } as const;

/** A test on each node at a time: what is broken on one does not concern the others. */
let nodes: readonly [controlPlane: string, worker: string, other: string];

before(async () => {
  const cluster = openCluster();
  await applyComponents(cluster);
  await setMode(cluster, "Auto");
  const [controlPlane, worker, other] = (await cluster.nodes()).toSorted();
  assert.ok(controlPlane !== undefined && worker !== undefined && other !== undefined, "three nodes are needed");
  nodes = [controlPlane, worker, other];
});

/** Waits for `yes`, `no` or `pending` of one node, with its reason. */
async function waitForStanding(cluster: Cluster, node: string, expected: RegExp): Promise<void> {
  let seen = "";
  await eventually(`${node} is ${expected}`, async () => {
    const row = (await nodeRows(cluster)).find((entry) => entry.node === node);
    seen = `${row?.passed} ${row?.reason}`.trim();
    return expected.test(seen) ? true : undefined;
  }).catch((error: Error) => assert.fail(`${error.message}; it is ${seen}`));
}

/** The container runtime and the agent of a node, and nobody else, get no answer from the registry's Service. */
async function cutOff(t: TestContext, cluster: Cluster, node: string): Promise<() => Promise<void>> {
  const service = await cluster.get("service", { name: "registry", namespace: "slipway-system" });
  // Before kube-proxy translates the address; pods do not come by OUTPUT.
  const rule = ["OUTPUT", "--destination", service.spec.clusterIP, "--jump", "DROP"];
  await cluster.onNode(node, ["iptables", "--wait", "--table", "raw", "--insert", ...rule]);
  let isCut = true;
  const restore = async () => {
    if (isCut) await cluster.onNode(node, ["iptables", "--wait", "--table", "raw", "--delete", ...rule]);
    isCut = false;
  };
  t.after(restore);
  return restore;
}

function agentsOn(node: string): readonly string[] {
  return ["pods", "--namespace", "slipway-node", `--field-selector=spec.nodeName=${node}`];
}

describe("faults of nodes, each on another one", { concurrency: 4 }, () => {
  kindTest(
    "a node that does not reach the Service is named, loses its rewriting alone, and comes back",
    async (test) => {
      const { cluster, t } = test;
      const [, node, other] = nodes;
      const namespace = test.namespaceName("cut");
      await cluster.apply(optedInNamespace(namespace));
      // One that kubelet has never pulled: it would want to ask a registry again for an image that came by a login.
      const upstream = `docker.io/library/slipway-${test.word()}:1`;
      await makeImage(t, upstream, test.word());
      await pushImage(cluster, upstream, upstream);
      await execute("kind", ["load", "docker-image", "--name", cluster.name, "--nodes", node, upstream]);
      const pod = (on: string, name = "asked") =>
        ({ name, namespace, image: upstream, node: on, pullPolicy: "IfNotPresent" }) as const;
      const rewritten = `${registryHost}/${upstream}`;
      await everyReplicaGives(cluster, pod(node), rewritten);
      const restore = await cutOff(t, cluster, node);
      // One that starts looks at once, not within a minute.
      await cluster.kubectl(["delete", ...agentsOn(node)]);
      await waitForStanding(cluster, node, /^no Unreachable/);
      // The gate: neither the pod that may land there only, nor one that may land anywhere; the other node's is untouched.
      await everyReplicaGives(cluster, pod(node), upstream);
      const { node: _, ...anywhere } = pod(node);
      await everyReplicaGives(cluster, anywhere, upstream);
      await everyReplicaGives(cluster, pod(other), rewritten);
      const there = await dryRun(cluster, pod(node));
      assert.equal(there.image, upstream);
      assert.match(there.warnings, new RegExp(`${node}.*Unreachable`));
      await eventually("status names the node, and none of the others", async () => {
        const { status } = await cluster.get("localregistry", { name: "default" });
        const failing: readonly KubernetesJson[] = status.nodes.failing ?? [];
        const named = failing.map(({ name }) => name).filter((name) => nodes.includes(name));
        return named.join() === node ? true : undefined;
      });
      // With its own reference the pod starts.
      await startPod(cluster, pod(node, "app"));
      assert.deepEqual(await failedPulls(cluster, namespace), []);
      await restore();
      await waitForStanding(cluster, node, /^yes/);
      await everyReplicaGives(cluster, pod(node), rewritten);
    },
  );

  kindTest("an agent that is killed again and again leaves a node whole", async (test) => {
    const { cluster, t } = test;
    const namespace = test.namespaceName("killed");
    const local = `slipway-test/${test.word()}:1`;
    await makeImage(t, local, test.word());
    const image = await pushImage(cluster, local, `${namespace}/app:1`);
    await cluster.apply(optedInNamespace(namespace));
    const [, , node] = nodes;
    const content = (of: string) => cluster.onNode(node, ["sh", "-c", `cat ${of}/* 2>/dev/null | sha256sum`]);
    const whole = await content(folder);
    for (let round = 0; round < 3; round++) {
      await cluster.onNode(node, ["rm", "-rf", folder]);
      await cluster.kubectl(["delete", ...agentsOn(node), "--grace-period=0", "--force"]);
    }
    await eventually("the node's files are back", async () => ((await content(folder)) === whole ? true : undefined));
    // The folder of the next name may be on its way; what a killed agent left is taken away by the one after it.
    await eventually("no temporary file is left", async () => {
      const left = await cluster.onNode(node, ["find", certsFolder, "-name", ".slipway-*"]);
      return left === "" ? true : undefined;
    });
    await cluster.kubectl(["rollout", "status", "daemonset/node-agent", "--namespace=slipway-node", "--timeout=300s"]);
    await waitForStanding(cluster, node, /^yes/);
    await startPod(cluster, { name: "app", namespace, image, node, pullPolicy: "Always" });
  });

  kindTest("files of a node that were wiped, cut off or overwritten are back within a minute", async (test) => {
    const { cluster, t } = test;
    const [node] = nodes;
    const content = `cd ${folder} && cat hosts.toml slipway-ca.crt ../${registryHost}.cluster.local/*`;
    const before = await cluster.onNode(node, ["sh", "-c", content]);
    const damage = `printf '\\000rubbish' > hosts.toml && rm slipway-ca.crt && rm -r ../${registryHost}.cluster.local`;
    await cluster.onNode(node, ["sh", "-c", `cd ${folder} && ${damage}`]);
    const damagedMs = performance.now();
    const isBack = async () =>
      (await cluster.onNode(node, ["sh", "-c", `(${content}) 2>/dev/null || true`])) === before;
    // The agent looks once a minute; a slow machine may take as long again for one look.
    await eventually("the files are back", async () => ((await isBack()) ? true : undefined), { withinMs: 120_000 });
    t.diagnostic(`back after ${Math.round((performance.now() - damagedMs) / 1_000)} s`);
  });

  kindTest("a node that joins with the taint gets its pods when it passes, and no pull fails", async (test) => {
    const { cluster, t } = test;
    const namespace = test.namespaceName("joins");
    const name = `${cluster.name}-joining-${test.word()}`;
    let joining: JoiningNode | undefined;
    t.after(() => joining?.remove());
    await cluster.apply(optedInNamespace(namespace));
    const local = `slipway-test/${test.word()}:1`;
    await makeImage(t, local, test.word());
    const image = await pushImage(cluster, local, `${namespace}/app:1`);
    await cluster.apply(podManifest({ name: "waiting", namespace, image, node: name, tolerations: [] }));
    await cluster.wait("pod/waiting", "condition=PodScheduled=False", { namespace });
    const deployment = await cluster.get("deployment", { name: "slipway", namespace: "slipway-system" });
    const images = [deployment.spec.template.spec.containers[0].image];
    joining = await startNode(cluster, name, { taint, images });
    const events = await watchOne(t, cluster, { path: "/api/v1/nodes", name });
    const [joined] = await Promise.all([firstEvent(events, ({ type }) => type === "ADDED"), joining.join()]);
    const keysOf = ({ spec }: KubernetesJson) => (spec.taints ?? []).map(({ key }: KubernetesJson) => key);
    assert.ok(keysOf(joined).includes(taint.key), "the node joined without the taint");
    await cluster.wait("pod/waiting", "condition=Ready", { namespace });
    assert.deepEqual(await failedPulls(cluster, namespace), []);
    assert.ok(!keysOf(await cluster.get("node", { name })).includes(taint.key), "the taint is still there");
  });
});

kindTest(
  "somebody else's hosts.toml for the registry stays, is reported, and closes the gate of its node",
  async ({ cluster, t }) => {
    const [, node] = nodes;
    await everyNodePasses(cluster, "HostsToml");
    const file = `${folder}/hosts.toml`;
    const theirs = 'server = "https://registry.example.com"\n';
    const remove = () => cluster.onNode(node, ["rm", "-f", file]);
    t.after(async () => {
      await remove();
      await setMode(cluster, "Auto");
    });
    await cluster.onNode(node, ["sh", "-c", `printf '%s' '${theirs}' > ${file}`]);
    // Other orders are a reason to look at once, not within a minute; and Auto would move to the other mode.
    await orderMode(cluster, "HostsToml");
    await waitForStanding(cluster, node, /^no ForeignFile/);
    assert.equal(await cluster.onNode(node, ["cat", file]), theirs);
    await remove();
    await waitForStanding(cluster, node, /^yes/);
  },
);
