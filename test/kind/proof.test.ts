import assert from "node:assert/strict";
import { certsFolder, hostIn, podOn, push, registry, setMode, until } from "./access.ts";
import type { Cluster, KubernetesJson } from "./cluster.ts";
import { failedPulls, kindTest, optedInNamespace } from "./harness.ts";
import { makeImage } from "./image.ts";

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

/** The whole promise, once in each mode that writes something to nodes. */
for (const mode of ["HostsToml", "LoopbackProxy"] as const) {
  kindTest(`${mode}: every node passes, by its agent and by its contract check`, async ({ cluster }) => {
    await setMode(cluster, mode);
    const isWritten = mode === "HostsToml";
    for (const node of await cluster.nodes()) {
      const files = await cluster.onNode(node, ["find", certsFolder, "-name", "hosts.toml"]);
      assert.equal(files.includes(`${certsFolder}/${registry}/hosts.toml`), isWritten, `${node}: ${files}`);
    }
  });

  kindTest(`${mode}: one apply of one file with namespace and Deployment starts a private image`, async (test) => {
    const { cluster, t } = test;
    const namespace = test.namespaceName("one");
    const local = `slipway-test/${test.word()}:1`;
    await makeImage(t, local, test.word());
    const reference = await push(cluster, local, `${namespace}/app:1.0`);
    assert.equal(reference, `${registry}/${namespace}/app:1.0`);
    await cluster.apply(oneFile(namespace, reference, 3));
    const pods = await assertStarted(cluster, namespace);
    assert.equal(pods.length, 3);
    for (const { spec } of pods) {
      assert.deepEqual(spec.imagePullSecrets, [{ name: "slipway-pull" }]);
      assert.equal(spec.containers[0].image, `${hostIn[mode]}/${namespace}/app:1.0`);
    }
  });

  kindTest(`${mode}: docker.io/library/busybox:1.37 starts when only the hosted registry has it`, async (test) => {
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
      assert.equal(pod.spec.containers[0].image, `${hostIn[mode]}/${image}`);
      const originals = JSON.parse(pod.metadata.annotations["slipway.dev/original-images"]);
      assert.deepEqual(originals, { containers: { app: image } });
    }
  });

  kindTest(`${mode}: a pod of another opted-in namespace is refused the private image`, async (test) => {
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

  kindTest(`${mode}: a bare Pod that is applied again is not restarted, and kubectl diff is empty`, async (test) => {
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
    await cluster.kubectl(
      ["diff", "-f", "-"],
      pod.replace('"name":"bare"', '"labels":{"changed":"yes"},"name":"bare"'),
    );
    await cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], pod);
    const { items } = await cluster.get("events", { namespace });
    const killed = items.filter(({ reason }: KubernetesJson) => reason === "Killing");
    assert.deepEqual(killed, []);
    const after = await cluster.get("pod", { name: "bare", namespace });
    assert.equal(after.status.containerStatuses[0].restartCount, 0);
  });

  kindTest(`${mode}: init and ephemeral containers and image volumes pull, too`, async (test) => {
    const { cluster, t } = test;
    const namespace = test.namespaceName("kinds");
    const reference = async (name: string) => {
      const local = `slipway-test/${test.word()}:1`;
      await makeImage(t, local, test.word());
      return push(cluster, local, `${namespace}/${name}:1`);
    };
    const [first, volume, debug] = [await reference("first"), await reference("volume"), await reference("debug")];
    await cluster.apply(optedInNamespace(namespace));
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "all", namespace },
      spec: {
        terminationGracePeriodSeconds: 1,
        initContainers: [{ name: "first", image: first, command: ["true"] }],
        containers: [
          { name: "app", image: first, command: ["sleep", "3600"], volumeMounts: [{ name: "v", mountPath: "/v" }] },
        ],
        volumes: [{ name: "v", image: { reference: volume } }],
      },
    };
    await cluster.apply(JSON.stringify(pod));
    await cluster.wait("pod/all", "condition=Ready", { namespace });
    const args = ["--namespace", namespace, "--image", debug, "--container", "debug", "--attach=false"];
    await cluster.kubectl(["debug", "pod/all", ...args, "--", "sleep", "3600"]);
    const running = "jsonpath={.status.ephemeralContainerStatuses[0].state.running.startedAt}";
    await cluster.wait("pod/all", running, { namespace });
    assert.deepEqual(await failedPulls(cluster, namespace), []);
  });

  kindTest(`${mode}: an alias is pushed to and pulled from as the Service's name is`, async (test) => {
    const { cluster, t } = test;
    const namespace = test.namespaceName("alias");
    const alias = "builds.example.com:5000";
    const setAliases = (aliases: readonly string[]) => {
      const patch = JSON.stringify({ spec: { aliases } });
      return cluster.kubectl(["patch", "localregistry", "default", "--type", "merge", "--patch", patch]);
    };
    t.after(() => setAliases([]));
    await setAliases([alias]);
    const local = `slipway-test/${test.word()}:1`;
    await makeImage(t, local, test.word());
    await push(cluster, local, `${namespace}/app:1`);
    await cluster.apply(optedInNamespace(namespace));
    // The Secret has the alias as a key, and nodes know it, once serve has taken it over.
    await until("the alias is in the pull Secret", 60, async () => {
      const path = "-o=jsonpath={.data.\\.dockerconfigjson}";
      const text = await cluster.kubectl(["get", "secret", "slipway-pull", "--namespace", namespace, path]);
      return Buffer.from(text, "base64").toString().includes(alias) ? true : undefined;
    });
    await setMode(cluster, mode);
    for (const [index, node] of (await cluster.nodes()).entries()) {
      const image = `${alias}/${namespace}/app:1`;
      await cluster.apply(podOn(node, { name: `on-${index}`, namespace, image }));
      await cluster.wait(`pod/on-${index}`, "condition=Ready", { namespace });
      const { spec } = await cluster.get("pod", { name: `on-${index}`, namespace });
      const host = mode === "HostsToml" ? alias : hostIn[mode];
      assert.equal(spec.containers[0].image, `${host}/${namespace}/app:1`);
    }
    assert.deepEqual(await failedPulls(cluster, namespace), []);
  });
}

// In HostsToml: test/kind/registry/rotation.test.ts.
kindTest("LoopbackProxy: no pull fails while the CA is rotated under pods that start in a loop", async (test) => {
  const { cluster, t } = test;
  const namespace = test.namespaceName("rotate");
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  const image = await push(cluster, local, `${namespace}/app:1`);
  await cluster.apply(optedInNamespace(namespace));
  const nodes = await cluster.nodes();
  const before = await authorityOf(cluster);
  const annotation = `slipway.dev/rotate=${test.word()}`;
  await cluster.kubectl(["annotate", "secret", "slipway-ca", annotation, "--overwrite", ...inSystem]);
  let started = 0;
  const startOne = async () => {
    const node = nodes[started % nodes.length] ?? "";
    const pod = { name: `pod-${started++}`, namespace, image, command: ["true"] };
    await cluster.apply(podOn(node, pod));
  };
  // Two minutes at least: mounted bundles have to follow, see settleMs in src/tls/decide.ts.
  await until("the registry serves a certificate of the new CA", 300, async () => {
    await startOne();
    const now = await authorityOf(cluster);
    return now.ca !== before.ca && now.leaf !== before.leaf && now.next === "" ? true : undefined;
  });
  for (const _ of nodes) await startOne();
  assert.ok(started > nodes.length + 5, `${started} pods are no loop`);
  const done = ["wait", "pods", "--all", "--for=jsonpath={.status.phase}=Succeeded", "--namespace", namespace];
  await cluster.kubectl([...done, "--timeout=120s"]);
  assert.deepEqual(await failedPulls(cluster, namespace), []);
});

kindTest("nodeAccess Auto goes on, and HostsToml is what it takes here", async ({ cluster }) => {
  await setMode(cluster, "HostsToml");
  await setMode(cluster, "Auto");
});

kindTest("ten files at once start, and an image that was pushed a second ago", async (test) => {
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

const inSystem = ["--namespace", "slipway-system"] as const;

/** What tells the steps of a rotation: the CA in use, the one that waits, and the registry's certificate. */
async function authorityOf(cluster: Cluster): Promise<{ readonly ca: string; next: string; leaf: string }> {
  const data = async (name: string) => (await cluster.get("secret", { name, namespace: inSystem[1] })).data;
  const [authority, leaf] = [await data("slipway-ca"), await data("slipway-registry-tls")];
  return { ca: authority["ca.crt"], next: authority["next.crt"] ?? "", leaf: leaf["tls.crt"] };
}
