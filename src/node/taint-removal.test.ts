import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { Registry } from "prom-client";
import { createManualClock } from "../../test/fake/clock.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { NodeAccessMode } from "../config/local-registry.ts";
import { notReadyTaint } from "../config/names.ts";
import { createLog } from "../log.ts";
import type { ContractVerdict } from "./contract-verdict.ts";
import { projectNode } from "./node-view.ts";
import type { NodesNow } from "./standing.ts";
import { createTaintRemoval } from "./taint-removal.ts";
import type { NodeVerdict } from "./verdict.ts";

const other = { key: "dedicated", value: "x", effect: "NoSchedule" };
const ours = { key: notReadyTaint, effect: "NoSchedule" };
const passing: NodeVerdict = {
  uid: "1",
  modes: { HostsToml: { passing: true, failures: 0, reason: "", message: "", failedAtMs: 0 } },
  cas: [],
  removed: [],
};
const contract: ContractVerdict = {
  node: "a",
  uid: "1",
  looks: 1,
  last: "HostsToml",
  modes: { HostsToml: { outcome: "failed", reason: "Proxy", message: "", key: "", atMs: 0, failures: 1 } },
};

function start(t: TestContext, taints: readonly unknown[]) {
  const clock = createManualClock();
  const object: KubernetesObject = { metadata: { name: "a", uid: "1", resourceVersion: "7" }, spec: { taints } };
  const patches: unknown[] = [];
  const state = {
    mode: "HostsToml" as NodeAccessMode | null,
    verdicts: new Map<string, NodeVerdict>(),
    contracts: new Map<string, ContractVerdict>(),
  };
  const world = (): NodesNow => ({
    nodes: [projectNode(object)],
    verdicts: state.verdicts,
    contracts: state.contracts,
    nowMs: clock.nowMs(),
    replicaStartMs: 0,
  });
  const removal = createTaintRemoval({
    api: {
      get: async () => object,
      merge: async (_resource, _address, patch) => {
        patches.push(patch);
        return object;
      },
    },
    world,
    mode: () => state.mode,
    clock,
    random: () => 0.5,
    log: createLog({ level: "silent" }),
    metrics: new Registry(),
  });
  const stop = new AbortController();
  const ended = removal.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await ended;
  });
  return { removal, clock, patches, state };
}

describe("the taint of new nodes", () => {
  test("stays until the node passes; other taints stay whatever happens", async (t) => {
    const { clock, patches, state, removal } = start(t, [other, ours]);
    await clock.advance(100);
    assert.deepEqual(patches, []);
    state.verdicts.set("a", passing);
    removal.touch();
    await clock.advance(100);
    assert.deepEqual(patches, [{ metadata: { resourceVersion: "7" }, spec: { taints: [other] } }]);
  });
  test("stays while the contract check of the node has failed", async (t) => {
    const { clock, patches, state } = start(t, [ours]);
    state.verdicts.set("a", passing);
    state.contracts.set("a", contract);
    await clock.advance(60_000);
    assert.deepEqual(patches, []);
  });
  test("stays until a mode has been chosen, and is looked at again by itself", async (t) => {
    const { clock, patches, state } = start(t, [ours]);
    state.verdicts.set("a", passing);
    state.mode = null;
    await clock.advance(60_000);
    assert.deepEqual(patches, []);
    state.mode = "HostsToml";
    await clock.advance(15_000);
    assert.equal(patches.length, 1);
  });
  test("goes where there is nothing to wait for", async (t) => {
    const { clock, patches, state } = start(t, [ours]);
    state.mode = "None";
    await clock.advance(15_000);
    assert.equal(patches.length, 1);
  });
  test("is nobody's business where it is not", async (t) => {
    const { clock, patches, state, removal } = start(t, [other]);
    state.verdicts.set("a", passing);
    removal.touch();
    await clock.advance(60_000);
    assert.deepEqual(patches, []);
  });
});
