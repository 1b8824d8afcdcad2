import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { digestOf, pushImage as pushParts } from "../../integration/gateway/registry-client.ts";
import { type KindTest, kindTest, optedInNamespace } from "../harness.ts";

import { askAs, type DirectClient, openClient, openNodePort, readAdminLogin } from "./direct-client.ts";
import { eventually } from "./eventually.ts";
import { startGapProbe } from "./gap.ts";
import { makeLargeImage } from "./large-image.ts";
import { mergeSpec } from "./local-registry.ts";
import { startPod } from "./pod.ts";
import { startPodLoop } from "./pod-loop.ts";
import { killContainer, registryPod, registryRolledOut, restartRegistry } from "./registry-pod.ts";
import { pushImage } from "./slipway.ts";
import { openDownload, openUpload } from "./transfer.ts";

/** The goal is 5 s on a calm machine, and what was measured is told. A pod that kubelet has to kill takes 30 s on any. */
const gapLimitMs = 20_000;
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

kindTest("the registry's pod is replaced under load: a short gap, and every client comes through", async (test) => {
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
  const load = startPodLoop(cluster, small, [namespace]);
  try {
    for (const { name, replace } of replacements) {
      const before = (await registryPod(cluster)).metadata.uid;
      const probe = startGapProbe(t, client, login, `/v2/${namespace}/small/manifests/1`);
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
      assert.ok(gap.answered > 0 && gap.failed > 0, JSON.stringify(gap));
      assert.notEqual((await registryPod(cluster)).metadata.uid, before);
      assert.ok(gap.longestMs < gapLimitMs, `${name}: ${gap.longestMs} ms`);
      await startPod(cluster, { name: `during-${test.word()}`, namespace, image: pushed, pullPolicy: "Always" });
      await load.more(1);
    }
  } finally {
    await load.stop();
    await mergeSpec(cluster, { resources });
    await registryRolledOut(cluster);
  }
});

for (const container of ["gateway", "registry"] as const) {
  kindTest(`container ${container} is killed in the middle of a push and a pull: a retry succeeds`, async (test) => {
    const { cluster, t } = test;
    const client = await openNodePort(t, cluster);
    const namespace = test.namespaceName("killed");
    await cluster.apply(optedInNamespace(namespace));
    const { login, layer, pull } = await pushLarge(test, client, `${namespace}/large`);
    const local = `slipway-test/${test.word()}:1`;
    await makeLargeImage(t, local, largeBytes);
    const target = { login, repository: `${namespace}/large` };
    const probe = startGapProbe(t, client, login, `/v2/${namespace}/large/manifests/1`);
    const streams = [await openDownload(t, client, { ...target, digest: layer }), await openUpload(t, client, target)];
    const [pushed] = await Promise.all([
      pushImage(cluster, local, `${namespace}/during:1`),
      killContainer(cluster, container),
    ]);
    for (const { finish } of streams) assert.equal(await finish(), false, "an open stream was not ended");
    await eventually("the blob comes whole", async () => (await pull()) === layer || undefined);
    const gap = await probe.stop();
    assert.ok(gap.answered > 0 && gap.failed > 0, JSON.stringify(gap));
    t.diagnostic(`${container} killed: ${gap.longestMs} ms without an answer`);
    assert.ok(gap.longestMs < gapLimitMs, `${gap.longestMs} ms`);
    await startPod(cluster, { name: "during", namespace, image: pushed, pullPolicy: "Always" });
    const { status } = await registryPod(cluster);
    assert.ok(status.containerStatuses.some(({ restartCount }: { restartCount: number }) => restartCount > 0));
  });
}
