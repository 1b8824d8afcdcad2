import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { type Cluster, execute, type KubernetesJson } from "./cluster.ts";
import { failedPulls, kindTest } from "./harness.ts";
import { makeImage } from "./image.ts";

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const registry = "registry.slipway-system.svc";

/** What a user types: pushes an image of the local docker, by whatever way leads to the registry. */
async function push(cluster: Cluster, image: string, name: string): Promise<string> {
  const args = [main, "images", "push", image, name, "--kubeconfig", cluster.kubeconfig];
  return (await execute(process.execPath, args)).trim();
}

/** One file: a labelled Namespace and a Deployment in it. */
function oneFile(namespace: string, image: string, replicas: number): string {
  const labels = { app: "app" };
  const container = { name: "app", image, command: ["sleep", "3600"] };
  const deployment = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "app", namespace },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { terminationGracePeriodSeconds: 1, containers: [container] } },
    },
  };
  const owner = { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels: optIn } };
  return `${JSON.stringify(owner)}\n---\n${JSON.stringify(deployment)}\n`;
}
const optIn = { "slipway.dev/inject": "enabled" };

async function assertStarted(cluster: Cluster, namespace: string): Promise<readonly KubernetesJson[]> {
  await cluster.kubectl(["rollout", "status", "deployment/app", "--namespace", namespace, "--timeout=120s"]);
  assert.deepEqual(await failedPulls(cluster, namespace), []);
  const { items } = await cluster.get("pods", { namespace });
  return items;
}

kindTest("one apply of one file with namespace and Deployment starts a private image", async (test) => {
  const { cluster, t } = test;
  const namespace = test.namespaceName("one");
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  const reference = await push(cluster, local, `${namespace}/app:1.0`);
  assert.equal(reference, `${registry}/${namespace}/app:1.0`);
  await cluster.apply(oneFile(namespace, reference, 3));
  const pods = await assertStarted(cluster, namespace);
  assert.equal(pods.length, 3);
  for (const { spec } of pods) assert.deepEqual(spec.imagePullSecrets, [{ name: "slipway-pull" }]);
});

kindTest("ten such files at once start, and an image that was pushed a second ago", async (test) => {
  const { cluster, t } = test;
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  const namespaces = Array.from({ length: 10 }, () => test.namespaceName("ten"));
  const [last = ""] = namespaces.slice(-1);
  for (const namespace of namespaces.slice(0, -1)) await push(cluster, local, `${namespace}/app:1.0`);
  await push(cluster, local, `${last}/app:1.0`);
  const files = namespaces.map((namespace) => oneFile(namespace, `${registry}/${namespace}/app:1.0`, 1));
  await Promise.all(files.map((file) => cluster.apply(file)));
  for (const namespace of namespaces) await assertStarted(cluster, namespace);
});

kindTest("docker.io/library/busybox:1.37 starts when only the hosted registry has it", async (test) => {
  const { cluster, t } = test;
  const namespace = test.namespaceName("mirror");
  const local = `slipway-test/${test.word()}:1`;
  const name = `docker.io/library/slipway-${test.word()}:1.37`;
  await makeImage(t, local, test.word());
  // The very image of the promise, and one that no node can have by another way.
  assert.equal(
    await push(cluster, "busybox:1.37", "docker.io/library/busybox:1.37"),
    `${registry}/docker.io/library/busybox:1.37`,
  );
  await push(cluster, local, name);
  for (const [suffix, image] of [
    ["a", "docker.io/library/busybox:1.37"],
    ["b", name],
  ] as const) {
    const own = suffix === "a" ? namespace : test.namespaceName("mirror");
    await cluster.apply(oneFile(own, image, 1));
    const [pod] = await assertStarted(cluster, own);
    const mode = (await cluster.get("localregistry", { name: "default" })).status.nodes.mode;
    const host = mode === "LoopbackProxy" ? "127.0.0.1:7443" : registry;
    assert.equal(pod.spec.containers[0].image, `${host}/${image}`);
    const originals = JSON.parse(pod.metadata.annotations["slipway.dev/original-images"]);
    assert.deepEqual(originals, { containers: { app: image } });
  }
});

kindTest("a pod of another opted-in namespace is refused the private image", async (test) => {
  const { cluster, t } = test;
  const owner = test.namespaceName("owner");
  const thief = test.namespaceName("thief");
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  const reference = await push(cluster, local, `${owner}/app:1.0`);
  await cluster.apply(oneFile(owner, reference, 1));
  await assertStarted(cluster, owner);
  const file = oneFile(thief, reference, 1).replace('"command"', '"imagePullPolicy":"Always","command"');
  await cluster.apply(file);
  await cluster.kubectl([
    "wait",
    "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff",
    "pod",
    "--selector=app=app",
    `--namespace=${thief}`,
    "--timeout=60s",
  ]);
  const { items } = await cluster.get("events", { namespace: thief });
  const told = items.map(({ message }: KubernetesJson) => String(message)).join("\n");
  assert.match(told, /insufficient_scope|failed to authorize/);
});

kindTest("a pod that failed before its namespace was labelled is reported, and a restart repairs it", async (test) => {
  const { cluster, t } = test;
  const namespace = test.namespaceName("late");
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  const reference = await push(cluster, local, `${namespace}/app:1.0`);
  await cluster.apply(
    oneFile(namespace, reference, 1).replace('"slipway.dev/inject":"enabled"', '"example.com/not":"yet"'),
  );
  const waiting = "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff";
  await cluster.kubectl([
    "wait",
    `--for=${waiting}`,
    "pod",
    "--selector=app=app",
    `--namespace=${namespace}`,
    "--timeout=60s",
  ]);
  await cluster.kubectl(["label", "namespace", namespace, "slipway.dev/inject=enabled"]);
  await eventOf(cluster, namespace, "PodNotInjected");
  await cluster.kubectl(["rollout", "restart", "deployment/app", "--namespace", namespace]);
  await cluster.kubectl(["rollout", "status", "deployment/app", "--namespace", namespace, "--timeout=60s"]);
});

/** Waits until an Event of that reason is there, by a watch of the API. */
async function eventOf(cluster: Cluster, namespace: string, reason: string): Promise<void> {
  const list = [
    "get",
    "events.events.k8s.io",
    "--namespace",
    namespace,
    "-o",
    "name",
    "--field-selector",
    `reason=${reason}`,
  ];
  const deadline = Date.now() + 60_000;
  while ((await cluster.kubectl(list)).trim() === "") {
    assert.ok(Date.now() < deadline, `no Event ${reason} in ${namespace}`);
    await cluster
      .kubectl([
        "wait",
        "--for=create",
        "events.events.k8s.io",
        "--namespace",
        namespace,
        "--timeout=2s",
        `--field-selector=reason=${reason}`,
      ])
      .catch(() => {});
  }
}

kindTest("a bare Pod that is applied again is not restarted, and kubectl diff is empty", async (test) => {
  const { cluster } = test;
  const namespace = test.namespaceName("again");
  await push(cluster, "busybox:1.37", "docker.io/library/busybox:1.37");
  await cluster.apply(
    JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels: optIn } }),
  );
  const pod = JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "bare", namespace },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [{ name: "app", image: "docker.io/library/busybox:1.37", command: ["sleep", "3600"] }],
    },
  });
  await cluster.apply(pod);
  await cluster.wait("pod/bare", "condition=Ready", { namespace });
  await cluster.apply(pod.replace('"name":"bare"', '"labels":{"changed":"yes"},"name":"bare"'));
  await cluster.kubectl(["diff", "-f", "-"], pod.replace('"name":"bare"', '"labels":{"changed":"yes"},"name":"bare"'));
  await cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], pod);
  const { items } = await cluster.get("events", { namespace });
  const killed = items.filter(({ reason }: KubernetesJson) => reason === "Killing");
  assert.deepEqual(killed, []);
  const after = await cluster.get("pod", { name: "bare", namespace });
  assert.equal(after.status.containerStatuses[0].restartCount, 0);
});
