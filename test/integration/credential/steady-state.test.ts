import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { compiledRegistry } from "../../fake/compiled.ts";
import { createNamespace, eventually, startTestCluster, type TestCluster } from "./cluster.ts";
import {
  createLeaderState,
  dockerConfig,
  type LeaderState,
  putSource,
  type RunningController,
  startController,
} from "./controller.ts";

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

/** Runs of the work queue so far, by its own metric. */
async function workRuns(controller: RunningController): Promise<number> {
  const text = await controller.metrics.getSingleMetricAsString("slipway_queue_work_seconds");
  return Number(/_count\{[^}]*\} (\d+)/.exec(text)?.[1] ?? 0);
}
