import assert from "node:assert/strict";
import { after, before } from "node:test";
import type { ClusterApi } from "../../../src/cluster/api.ts";
import { startFakeApi } from "../../fake/api-server.ts";
import { installTypes, startTestCluster, type TestCluster } from "./cluster.ts";
import { type LeaderSettings, type RunningLeader, startLeader } from "./leader.ts";
import type { Stage } from "./life.ts";

/**
 * Registers what brings up an API server, a proxy and one leader for a test file, and takes them down.
 *
 * @param settings.prepare called when the API server is up and nobody leads yet
 */
export function openStage(
  settings: LeaderSettings & { readonly prepare?: (api: ClusterApi) => Promise<unknown> } = {},
): () => Stage {
  let cluster: TestCluster;
  let stage: Stage;
  let leader: RunningLeader;
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown) => void unhandled.push(reason);
  before(async () => {
    process.on("unhandledRejection", onUnhandled);
    cluster = await startTestCluster();
    await installTypes(cluster);
    await settings.prepare?.(cluster.api);
    const proxy = await startFakeApi([], { upstream: cluster.kubeconfigPath });
    stage = {
      cluster,
      proxy,
      leader: () => leader,
      start() {
        leader = startLeader(proxy.kubeconfig, settings);
        return leader;
      },
    };
    stage.start();
  });
  after(async () => {
    await leader.stop();
    await stage.proxy.close();
    await cluster.stop();
    process.off("unhandledRejection", onUnhandled);
    assert.deepEqual(unhandled, []);
  });
  return () => stage;
}
