import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { TestContext } from "node:test";
import { digestOf, pushImage as pushParts } from "../../integration/gateway/registry-client.ts";
import type { Cluster, KubernetesJson } from "../cluster.ts";
import { eventually } from "../eventually.ts";
import { type KindTest, kindTest, optedInNamespace } from "../harness.ts";
import { startPod } from "../pod.ts";
import { startPodLoop } from "../pod-loop.ts";
import { askAs, type DirectClient, openClient, openNodePort, readAdminLogin } from "../registry/direct-client.ts";
import { mergeSpec } from "../registry/local-registry.ts";
import {
  killContainer,
  type RegistryContainer,
  registryPod,
  registryRolledOut,
  restartRegistry,
} from "../registry/registry-pod.ts";
import { pushImage } from "../slipway.ts";
import { firstEvent, watchOne } from "../watch.ts";
import { startGapProbe } from "./gap.ts";
import { makeLargeImage } from "./large-image.ts";
import { openDownload, openUpload } from "./transfer.ts";

/**
 * The goal is 5 s on a calm machine, and what was measured is told. How long a pod takes to start is the machine's
 * affair; that nothing was waited for which kubelet had to kill is looked at by itself.
 */
const gapLimitMs = 60_000;
const inSystem = "/api/v1/namespaces/slipway-system/pods";
/** 128 and SIGKILL. */
const killedCode = 137;
const largeBytes = 48 * 1024 * 1024;

/** An image whose one layer fits into no buffer, pushed by the admin. */
async function pushLarge(test: KindTest, client: DirectClient, repository: string) {
  const login = await readAdminLogin(test.cluster);
  const content = randomBytes(largeBytes / 2).toString("hex");
  const { layer } = await pushParts(client, login, { repository, tag: "1", content });
  const pull = async () => {
    const scope = `repository:${repository}:pull`;
    const answer = await askAs(client, login, scope, { method: "GET", path: `/v2/${repository}/blobs/${layer}` });
    return answer.status === 200 ? digestOf(answer.body) : undefined;
  };
  return { login, layer, pull };
}

/** Follows the registry's pod. @returns resolves when it is gone, with its name and the exit codes of its containers */
async function followEnd(t: TestContext, cluster: Cluster) {
  const { metadata } = await registryPod(cluster);
  const events = await watchOne(t, cluster, { path: inSystem, name: metadata.name });
  const gone = firstEvent(events, ({ type, object }) => type === "DELETED" && object.metadata.uid === metadata.uid);
  // Told to whoever awaits the end.
  gone.catch(() => {});
  return async () => {
    const { status } = await gone;
    const codes: readonly [string, number][] = status.containerStatuses.map(({ name, state }: KubernetesJson) => [
      name,
      state.terminated?.exitCode,
    ]);
    return { uid: metadata.uid as string, exitCodes: Object.fromEntries(codes) };
  };
}

async function restartsOf(cluster: Cluster, container: RegistryContainer): Promise<number> {
  const { status } = await registryPod(cluster);
  return status.containerStatuses.find(({ name }: KubernetesJson) => name === container).restartCount;
}

async function replaceUnderLoad(test: KindTest): Promise<void> {
  const { cluster, t } = test;
  const client = await openNodePort(t, cluster);
  const namespace = test.namespaceName("replaced");
  await cluster.apply(optedInNamespace(namespace));
  const { login, layer, pull } = await pushLarge(test, client, `${namespace}/large`);
  const local = `slipway-test/${test.word()}:1`;
  await makeLargeImage(t, local, largeBytes);
  const target = { login, repository: `${namespace}/large` };

  const { resources = null } = (await cluster.get("localregistry", { name: "default" })).spec;
  const replacements = [
    { name: "kubectl rollout restart", replace: () => restartRegistry(cluster) },
    {
      name: "a change of the spec",
      replace: async () => {
        await mergeSpec(cluster, { resources: { limits: { memory: "300Mi" } } });
        await registryRolledOut(cluster);
      },
    },
    {
      name: "an eviction, as a drain does it",
      replace: async () => {
        const { metadata } = await registryPod(cluster);
        await cluster.kubectl(["delete", `pod/${metadata.name}`, "--namespace", "slipway-system", "--wait=false"]);
        await cluster.wait(`pod/${metadata.name}`, "delete", { namespace: "slipway-system" });
        await registryRolledOut(cluster);
      },
    },
  ];
  const small = await pushImage(cluster, "busybox:1.37", `${namespace}/small:1`);
  const load = startPodLoop(cluster, small, [{ prefix: "load", namespace }]);
  try {
    for (const { name, replace } of replacements) {
      const ended = await followEnd(t, cluster);
      const probe = await startGapProbe(t, client, login, `/v2/${namespace}/small/manifests/1`);
      // A client of its own: the connections of the one before ended with the pod.
      const fresh = await openClient(t, cluster);
      const streams = [await openDownload(t, fresh, { ...target, digest: layer }), await openUpload(t, fresh, target)];
      const [pushed] = await Promise.all([
        pushImage(cluster, local, `${namespace}/during-${test.word()}:1`),
        replace(),
      ]);
      for (const { finish } of streams) assert.equal(await finish(), false, "an open stream was not ended");
      await eventually("the registry answers again", async () => (await pull()) === layer || undefined);
      const gap = await probe.stop();
      t.diagnostic(`${name}: ${gap.longestMs} ms without an answer (${gap.answered} answered, ${gap.failed} not)`);
      const { uid, exitCodes } = await ended();
      assert.notEqual((await registryPod(cluster)).metadata.uid, uid);
      assert.equal(exitCodes.gateway, 0, `${name}: ${JSON.stringify(exitCodes)}`);
      assert.notEqual(exitCodes.registry, killedCode, `${name}: kubelet had to kill Distribution`);
      assert.ok(gap.longestMs < gapLimitMs, `${name}: ${gap.longestMs} ms`);
      await startPod(cluster, { name: `during-${test.word()}`, namespace, image: pushed, pullPolicy: "Always" });
    }
    await load.more(1);
  } finally {
    await load.stop();
    await mergeSpec(cluster, { resources });
    await registryRolledOut(cluster);
  }
}

async function killInTheMiddle(test: KindTest, container: RegistryContainer): Promise<void> {
  const { cluster, t } = test;
  const client = await openNodePort(t, cluster);
  const namespace = test.namespaceName("killed");
  await cluster.apply(optedInNamespace(namespace));
  const { login, layer, pull } = await pushLarge(test, client, `${namespace}/large`);
  const local = `slipway-test/${test.word()}:1`;
  await makeLargeImage(t, local, largeBytes);
  const target = { login, repository: `${namespace}/large` };
  const before = await restartsOf(cluster, container);
  const probe = await startGapProbe(t, client, login, `/v2/${namespace}/large/manifests/1`);
  const streams = [await openDownload(t, client, { ...target, digest: layer }), await openUpload(t, client, target)];
  const [pushed] = await Promise.all([
    pushImage(cluster, local, `${namespace}/during:1`),
    killContainer(cluster, container),
  ]);
  for (const { finish } of streams) assert.equal(await finish(), false, "an open stream was not ended");
  await eventually("the blob comes whole", async () => (await pull()) === layer || undefined);
  const gap = await probe.stop();
  t.diagnostic(`${container} killed: ${gap.longestMs} ms without an answer`);
  assert.ok(gap.longestMs < gapLimitMs, `${gap.longestMs} ms`);
  await startPod(cluster, { name: "during", namespace, image: pushed, pullPolicy: "Always" });
  await eventually("the restart is counted", async () => (await restartsOf(cluster, container)) > before || undefined);
}

/** The registry's pod is replaced in three ways, and its containers are killed one by one. */
export function proveReplacement(open: () => Cluster): void {
  kindTest(
    "the registry's pod is replaced under load: a short gap, and every client comes through",
    replaceUnderLoad,
    open,
  );
  for (const container of ["gateway", "registry"] as const) {
    const name = `container ${container} is killed in the middle of a push and a pull: a retry succeeds`;
    kindTest(name, (test) => killInTheMiddle(test, container), open);
  }
}
