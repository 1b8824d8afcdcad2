import assert from "node:assert/strict";
import { describe } from "node:test";
import { certsFolder, everyNodePasses, hostIn, type ProvenMode, setMode } from "./access.ts";
import { everyReplicaGives } from "./admission.ts";
import { eventually } from "./eventually.ts";
import { failedPulls, type KindTest, kindTest, optedInNamespace } from "./harness.ts";
import { makeImage } from "./image.ts";
import { assertStarted, oneFile } from "./one-file.ts";
import { startPods, waitForFailedPull } from "./pod.ts";
import { changeLocalRegistry } from "./registry/local-registry.ts";
import { rotateUnderLoad } from "./rotation.ts";
import { pushImage, registryHost } from "./slipway.ts";

/** An image that no node has seen, pushed under a name. @returns the reference by which it can be pulled */
async function pushNewImage({ cluster, t, word }: KindTest, name: string): Promise<string> {
  const local = `slipway-test/${word()}:1`;
  await makeImage(t, local, word());
  return pushImage(cluster, local, name);
}

/** The whole promise in one mode; most of it while key and CA are rotated, which takes its two minutes anyway. */
export function provePromise(mode: ProvenMode): void {
  kindTest(`${mode}: every node passes, by its agent and by its contract check`, async ({ cluster }) => {
    await setMode(cluster, mode);
    const isWritten = mode === "HostsToml";
    for (const node of await cluster.nodes()) {
      const files = await cluster.onNode(node, ["find", certsFolder, "-name", "hosts.toml"]);
      assert.equal(files.includes(`${certsFolder}/${registryHost}/hosts.toml`), isWritten, `${node}: ${files}`);
    }
  });

  kindTest(`${mode}: an alias is pushed to and pulled from as the Service's name is`, async (test) => {
    const { cluster, t } = test;
    const namespace = test.namespaceName("alias");
    const alias = "builds.example.com:5000";
    await changeLocalRegistry(t, cluster, { aliases: [alias] });
    await pushNewImage(test, `${namespace}/app:1`);
    await cluster.apply(optedInNamespace(namespace));
    // The Secret has the alias as a key, nodes know it, and so does each replica, once serve has taken it over.
    await eventually("the alias is in the pull Secret", async () => {
      const path = "-o=jsonpath={.data.\\.dockerconfigjson}";
      const text = await cluster.kubectl(["get", "secret", "slipway-pull", "--namespace", namespace, path]);
      return Buffer.from(text, "base64").toString().includes(alias) ? true : undefined;
    });
    const nodes = await cluster.nodes();
    for (const node of mode === "HostsToml" ? nodes : []) {
      const file = `${certsFolder}/${alias}/hosts.toml`;
      await eventually(`${node} knows the alias`, () => cluster.onNode(node, ["cat", file]));
    }
    const image = `${alias}/${namespace}/app:1`;
    const pulled = `${mode === "HostsToml" ? alias : hostIn[mode]}/${namespace}/app:1`;
    await everyReplicaGives(cluster, { name: "asked", namespace, image }, pulled);
    await everyNodePasses(cluster, mode);
    await startPods(
      cluster,
      nodes.map((node) => ({ name: `on-${node}`, namespace, image, node, pullPolicy: "Always" })),
    );
    for (const { spec } of (await cluster.get("pods", { namespace })).items) {
      assert.equal(spec.containers[0].image, pulled);
    }
    assert.deepEqual(await failedPulls(cluster, namespace), []);
  });

  describe(`${mode}, while key and CA are rotated`, { concurrency: 3 }, () => {
    kindTest(`${mode}: the key and the CA are rotated under pods that start and push in a loop`, rotateUnderLoad);
    kindTest(`${mode}: one apply of one file with namespace and Deployment starts a private image`, async (test) => {
      const { cluster } = test;
      const namespace = test.namespaceName("one");
      const reference = await pushNewImage(test, `${namespace}/app:1.0`);
      assert.equal(reference, `${registryHost}/${namespace}/app:1.0`);
      await cluster.apply(oneFile(namespace, reference, { replicas: 3 }));
      const pods = await assertStarted(cluster, namespace);
      assert.equal(pods.length, 3);
      for (const { spec } of pods) {
        assert.deepEqual(spec.imagePullSecrets, [{ name: "slipway-pull" }]);
        assert.equal(spec.containers[0].image, `${hostIn[mode]}/${namespace}/app:1.0`);
      }
    });
    kindTest(`${mode}: docker.io/library/busybox:1.37 starts when only the hosted registry has it`, (test) =>
      startMirrored(test, mode),
    );
    kindTest(`${mode}: a pod of another opted-in namespace is refused the private image`, async (test) => {
      const { cluster } = test;
      const owner = test.namespaceName("owner");
      const thief = test.namespaceName("thief");
      const reference = await pushNewImage(test, `${owner}/app:1.0`);
      await cluster.apply(oneFile(owner, reference));
      await assertStarted(cluster, owner);
      await cluster.apply(oneFile(thief, reference, { pullPolicy: "Always" }));
      await waitForFailedPull(cluster, thief, /insufficient_scope|failed to authorize/);
    });
    kindTest(`${mode}: a bare Pod that is applied again is not restarted, and kubectl diff is empty`, (test) =>
      applyAgain(test, mode),
    );
    kindTest(`${mode}: init and ephemeral containers and image volumes pull, too`, pullEverywhere);
  });
}

async function startMirrored(test: KindTest, mode: ProvenMode): Promise<void> {
  const { cluster } = test;
  // The very image of the promise, and one that no node can have by another way.
  const busybox = "docker.io/library/busybox:1.37";
  assert.equal(await pushImage(cluster, "busybox:1.37", busybox), `${registryHost}/${busybox}`);
  const name = `docker.io/library/slipway-${test.word()}:1.37`;
  await pushNewImage(test, name);
  for (const image of [busybox, name]) {
    const pulled = `${hostIn[mode]}/${image}`;
    await everyReplicaGives(cluster, { name: "asked", namespace: "slipway-check", image }, pulled);
    const namespace = test.namespaceName("mirror");
    await cluster.apply(oneFile(namespace, image));
    const [pod] = await assertStarted(cluster, namespace);
    assert.equal(pod.spec.containers[0].image, pulled);
    const originals = JSON.parse(pod.metadata.annotations["slipway.dev/original-images"]);
    assert.deepEqual(originals, { containers: { app: image } });
  }
}

async function applyAgain(test: KindTest, mode: ProvenMode): Promise<void> {
  const { cluster } = test;
  const namespace = test.namespaceName("again");
  const image = "docker.io/library/busybox:1.37";
  await pushImage(cluster, "busybox:1.37", image);
  await cluster.apply(optedInNamespace(namespace));
  await everyReplicaGives(cluster, { name: "bare", namespace, image }, `${hostIn[mode]}/${image}`);
  const pod = JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "bare", namespace },
    spec: { terminationGracePeriodSeconds: 1, containers: [{ name: "app", image, command: ["sleep", "3600"] }] },
  });
  const changed = pod.replace('"name":"bare"', '"labels":{"changed":"yes"},"name":"bare"');
  await cluster.apply(pod);
  await cluster.wait("pod/bare", "condition=Ready", { namespace });
  await cluster.apply(changed);
  await cluster.kubectl(["diff", "-f", "-"], changed);
  await cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], pod);
  const { items } = await cluster.get("events", { namespace });
  assert.deepEqual(
    items.filter(({ reason }: { reason: string }) => reason === "Killing"),
    [],
  );
  const after = await cluster.get("pod", { name: "bare", namespace });
  assert.equal(after.status.containerStatuses[0].restartCount, 0);
}

async function pullEverywhere(test: KindTest): Promise<void> {
  const { cluster } = test;
  const namespace = test.namespaceName("kinds");
  const reference = (name: string) => pushNewImage(test, `${namespace}/${name}:1`);
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
}
