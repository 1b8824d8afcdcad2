import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { createFastClock } from "../../fake/clock.ts";
import { compiledRegistry } from "../../fake/compiled.ts";
import { applyTypes, createNamespace, eventually, startTestCluster, type TestCluster, waitMs } from "./cluster.ts";
import {
  createLeaderState,
  dockerConfig,
  type LeaderState,
  putSource,
  type RunningController,
  startController,
} from "./controller.ts";
import { type RunningLeader, startLeader, within } from "./leader.ts";

const total = 1_000;
let cluster: TestCluster;
let leader: LeaderState;

before(async () => {
  cluster = await startTestCluster();
  await createNamespace(cluster.api, "slipway-system", { labels: {} });
  await putSource(cluster.api, "one", dockerConfig({ "x.example.com": "1" }));
  leader = createLeaderState(cluster.api);
  await leader.setRegistry(compiledRegistry());
  await leader.setPullCredentials({ a: [{ secretRef: { name: "one" } }] });
  const pending = Array.from({ length: total }, (_, index) => `steady-${index}`);
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      for (let name = pending.pop(); name !== undefined; name = pending.pop()) await createNamespace(cluster.api, name);
    }),
  );
  const filling = await startController(cluster.openCounted(), leader);
  await allSynced(filling);
  await filling.stop();
});
after(() => cluster.stop());

const allSynced = (controller: RunningController) =>
  eventually("all namespaces are in step", () => {
    const { synced, total: known } = controller.progress.statusOf("a")?.namespaces ?? {};
    return synced === total && known === total ? true : undefined;
  });

test("a restart with 1,000 namespaces in step writes nothing, and lists each resource once", async () => {
  const counted = cluster.openCounted();
  const controller = await startController(counted, leader);
  await allSynced(controller);
  await controller.stop();
  assert.deepEqual(counted.writes, []);
  assert.deepEqual(counted.lists.sort(), ["/api/v1/namespaces", "/api/v1/secrets"]);
});

test("ten looks at all of 1,000 namespaces write nothing", async () => {
  const counted = cluster.openCounted();
  const controller = await startController(counted, leader, { resyncMs: 200 });
  await allSynced(controller);
  const looks = await eventually("ten more looks at each", async () => {
    const runs = await workRuns(controller);
    return runs >= 11 * total ? runs : undefined;
  });
  await controller.stop();
  assert.ok(looks >= 11 * total);
  assert.deepEqual(counted.writes, []);
});

test("a compiled state that changes nothing for namespaces writes nothing", async () => {
  const counted = cluster.openCounted();
  const controller = await startController(counted, leader);
  await allSynced(controller);
  await leader.recompile();
  await allSynced(controller);
  await controller.stop();
  assert.deepEqual(counted.writes, []);
});

test("the whole of serve, started anew with 1,000 namespaces in step, lists each resource once and writes nothing", async () => {
  await applyTypes(cluster);
  await createNamespace(cluster.api, "slipway-node", { labels: {} });
  const signal = AbortSignal.timeout(600_000);
  const spec = { sources: [{ secretRef: { name: "one" } }] };
  await cluster.api.create(resources.pullCredentials, { metadata: { name: "a" }, spec }, { signal });
  const before = startLeader(cluster.kubeconfigPath, { clock: createFastClock(5) });
  await areSynced(before);
  await hasListedPods(before);
  await isQuiet(before, 3_000);
  await before.stop();

  const restarted = startLeader(cluster.kubeconfigPath);
  await areSynced(restarted);
  await hasListedPods(restarted);
  await isQuiet(restarted, 2_000);
  await restarted.stop();
  assert.deepEqual(restarted.writes, []);
  const counts = new Map<string, number>();
  for (const path of restarted.lists) counts.set(path, (counts.get(path) ?? 0) + 1);
  // Secrets: slipway-pull, slipway-push.
  assert.deepEqual(
    [...counts].filter(([path, count]) => count > (path === "/api/v1/secrets" ? 2 : 1)),
    [],
  );
  assert.ok(counts.size >= 10, `${counts.size} resources`);
});

/** By the metric, which knows only what this leader has looked at itself. */
const areSynced = (leader: RunningLeader) =>
  within(120_000, "all namespaces are in step", async () => {
    const text = await leader.metrics.getSingleMetricAsString("slipway_credentials_namespaces");
    return text.includes(`{state="synced"} ${total}`) ? true : undefined;
  });

/** Ten seconds after a start comes the last thing of it, the look at pods that cannot pull. */
const hasListedPods = (leader: RunningLeader) =>
  within(waitMs, "pods were listed", () => leader.lists.find((path) => path === "/api/v1/pods"));

const isQuiet = (leader: RunningLeader, durationMs: number) =>
  within(waitMs, `nothing is written for ${durationMs} ms`, async () => {
    const count = leader.writes.length;
    await systemClock.sleep(durationMs, AbortSignal.timeout(600_000));
    return leader.writes.length === count ? true : undefined;
  });

/** Runs of the work queue so far, by its own metric. */
async function workRuns(controller: RunningController): Promise<number> {
  const text = await controller.metrics.getSingleMetricAsString("slipway_queue_work_seconds");
  return Number(/_count\{[^}]*\} (\d+)/.exec(text)?.[1] ?? 0);
}
