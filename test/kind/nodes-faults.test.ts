import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { certsFolder, nodeRows, podOn, push, registry, setMode, until } from "./access.ts";
import { type Cluster, execute } from "./cluster.ts";
import { failedPulls, kindTest, optedInNamespace } from "./harness.ts";
import { makeImage } from "./image.ts";

/** `yes`, `no` or `pending` of one node, with its reason. */
async function standingOf(cluster: Cluster, node: string): Promise<string> {
  const row = (await nodeRows(cluster)).find((entry) => entry.node === node);
  return `${row?.passed} ${row?.reason}`.trim();
}

async function waitForStanding(cluster: Cluster, node: string, expected: RegExp, seconds: number): Promise<void> {
  await until(`${node} is ${expected}`, seconds, async () =>
    expected.test(await standingOf(cluster, node)) ? true : undefined,
  );
}

/** A server-side dry run. @returns the image that a pod would get, and the warnings that kubectl showed */
async function admitted(cluster: Cluster, pod: string): Promise<{ readonly image: string; readonly warnings: string }> {
  const script =
    'kubectl --kubeconfig "$0" create --dry-run=server -f - -o jsonpath="{.spec.containers[0].image}" 2>&1';
  const output = (await execute("sh", ["-c", script, cluster.kubeconfig], pod)).trim().split("\n");
  const warnings = output.filter((line) => line.startsWith("Warning:"));
  return { image: output.filter((line) => !line.startsWith("Warning:")).join(""), warnings: warnings.join("\n") };
}

/** The container runtime and the agent of a node, and nobody else, get no answer from the registry's Service. */
async function cutOff(t: TestContext, cluster: Cluster, node: string): Promise<() => Promise<void>> {
  const service = await cluster.get("service", { name: "registry", namespace: "slipway-system" });
  // Before kube-proxy translates the address; pods do not come by OUTPUT.
  const rule = ["OUTPUT", "--destination", service.spec.clusterIP, "--jump", "DROP"];
  await cluster.onNode(node, ["iptables", "--table", "raw", "--insert", ...rule]);
  let isCut = true;
  const restore = async () => {
    if (isCut) await cluster.onNode(node, ["iptables", "--table", "raw", "--delete", ...rule]);
    isCut = false;
  };
  t.after(restore);
  return restore;
}

kindTest("a node that does not reach the Service is named, loses its rewriting alone, and comes back", async (test) => {
  const { cluster, t } = test;
  await setMode(cluster, "Auto");
  const workers = (await cluster.nodes()).filter((name) => !name.endsWith("control-plane"));
  const [node = "", other = ""] = workers;
  assert.notEqual(other, "", "the test needs two workers");
  const namespace = test.namespaceName("cut");
  await cluster.apply(optedInNamespace(namespace));
  // One that kubelet has never pulled: it would want to ask a registry again for an image that came by a login.
  const upstream = `docker.io/library/slipway-${test.word()}:1`;
  await makeImage(t, upstream, test.word());
  await push(cluster, upstream, upstream);
  await execute("kind", ["load", "docker-image", "--name", cluster.name, "--nodes", node, upstream]);
  const pod = (on: string, name = "asked") =>
    podOn(on, { name, namespace, image: upstream, imagePullPolicy: "IfNotPresent" });
  const rewritten = `${registry}/${upstream}`;
  await until("the catalogue has the image", 30, async () =>
    (await admitted(cluster, pod(node))).image === rewritten ? true : undefined,
  );
  const restore = await cutOff(t, cluster, node);
  await waitForStanding(cluster, node, /^no Unreachable/, 180);
  // The gate: neither the pod that may land there only, nor one that may land anywhere; the other node's is untouched.
  const there = await until("the gate is closed", 30, async () => {
    const found = await admitted(cluster, pod(node));
    return found.image === upstream ? found : undefined;
  });
  assert.match(there.warnings, new RegExp(`${node}.*Unreachable`));
  assert.equal((await admitted(cluster, pod(other))).image, rewritten);
  const status = (await cluster.get("localregistry", { name: "default" })).status;
  assert.deepEqual(
    status.nodes.failing.map(({ name }: { name: string }) => name),
    [node],
  );
  // With its own reference the pod starts.
  await cluster.apply(pod(node, "app"));
  await cluster.wait("pod/app", "condition=Ready", { namespace });
  assert.deepEqual(await failedPulls(cluster, namespace), []);
  await restore();
  await waitForStanding(cluster, node, /^yes/, 90);
  await until("the gate is open", 30, async () =>
    (await admitted(cluster, pod(node))).image === rewritten ? true : undefined,
  );
});

kindTest(
  "somebody else's hosts.toml for the registry stays, is reported, and closes the gate of its node",
  async (test) => {
    const { cluster, t } = test;
    await setMode(cluster, "HostsToml");
    const [node = ""] = (await cluster.nodes()).filter((name) => !name.endsWith("control-plane"));
    const file = `${certsFolder}/${registry}/hosts.toml`;
    const theirs = 'server = "https://registry.example.com"\n';
    const remove = () => cluster.onNode(node, ["rm", "-f", file]);
    t.after(async () => {
      await remove();
      await setMode(cluster, "Auto");
    });
    await cluster.onNode(node, ["sh", "-c", `printf '%s' '${theirs}' > ${file}`]);
    await waitForStanding(cluster, node, /^no ForeignFile/, 180);
    assert.equal(await cluster.onNode(node, ["cat", file]), theirs);
    await remove();
    await waitForStanding(cluster, node, /^yes/, 90);
  },
);

kindTest("an agent that is killed again and again leaves a node whole", async (test) => {
  const { cluster, t } = test;
  const namespace = test.namespaceName("killed");
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  const image = await push(cluster, local, `${namespace}/app:1`);
  await cluster.apply(optedInNamespace(namespace));
  const [node = ""] = (await cluster.nodes()).filter((name) => !name.endsWith("control-plane"));
  const folder = `${certsFolder}/${registry}`;
  const whole = await cluster.onNode(node, ["sh", "-c", `cat ${folder}/* | sha256sum`]);
  for (let round = 0; round < 3; round++) {
    await cluster.onNode(node, ["rm", "-rf", folder]);
    const pods = `--field-selector=spec.nodeName=${node}`;
    const args = ["delete", "pods", "--namespace", "slipway-node", pods, "--grace-period=0", "--force"];
    await cluster.kubectl(args);
  }
  await until("the node's files are back", 90, async () => {
    const found = await cluster.onNode(node, ["sh", "-c", `cat ${folder}/* 2>/dev/null | sha256sum`]);
    return found === whole ? true : undefined;
  });
  const left = await cluster.onNode(node, ["find", certsFolder, "-name", ".slipway-*"]);
  assert.equal(left, "");
  await waitForStanding(cluster, node, /^yes/, 90);
  await cluster.apply(podOn(node, { name: "app", namespace, image }));
  await cluster.wait("pod/app", "condition=Ready", { namespace });
});
