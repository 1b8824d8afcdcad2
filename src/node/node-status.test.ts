import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { planAccess } from "./access-plan.ts";
import { noAutoState } from "./choose.ts";
import { nodesStatus, nodesToClear } from "./node-status.ts";
import { parseRuntime, projectNode } from "./node-view.ts";
import type { NodesNow } from "./standing.ts";
import type { NodeVerdict } from "./verdict.ts";

const startMs = 1_000_000;
const plan = planAccess({ nodeAccess: "HostsToml" }, noAutoState);

function verdict(passing: boolean, removed: NodeVerdict["removed"] = []): NodeVerdict {
  const failing = { passing: false, failures: 3, reason: "ForeignFile", message: "x is not Slipway's", failedAtMs: 1 };
  const entry = passing ? { passing, failures: 0, reason: "", message: "", failedAtMs: 0 } : failing;
  return { uid: "", modes: { HostsToml: entry }, cas: [], removed };
}

function world(verdicts: Readonly<Record<string, NodeVerdict | undefined>>): NodesNow {
  return {
    nodes: Object.keys(verdicts).map((name) => ({
      name,
      uid: "",
      labels: {},
      taints: [],
      unschedulable: false,
      readySinceMs: startMs,
      runtime: null,
      addresses: [],
    })),
    verdicts: new Map(
      Object.entries(verdicts).flatMap(([name, entry]) => (entry === undefined ? [] : [[name, entry]])),
    ),
    nowMs: startMs + 1_000,
    replicaStartMs: startMs,
  };
}

function contracts(name: string, outcome: "passed" | "failed" | "exposed"): NonNullable<NodesNow["contracts"]> {
  const result = { outcome, reason: "Proxy", message: "add it to NO_PROXY", key: "", atMs: 0, failures: 1 };
  return new Map([[name, { node: name, uid: "", looks: 1, last: "HostsToml" as const, modes: { HostsToml: result } }]]);
}

describe("a contract check", () => {
  const now = world({ a: verdict(true), b: verdict(true) });
  test("that failed makes NodesReady False, in the runtime's words", () => {
    const { nodes, condition } = nodesStatus(plan, { ...now, contracts: contracts("b", "failed") });
    assert.deepEqual(nodes.failing, [{ name: "b", reason: "Proxy: add it to NO_PROXY" }]);
    assert.equal(nodes.summary, "1/2");
    assert.deepEqual([condition.status, condition.reason], ["False", "NodesFailing"]);
  });
  test("that found a broken isolation makes NodesReady False; pods of that node can pull all the same", () => {
    const { nodes, condition } = nodesStatus(plan, { ...now, contracts: contracts("b", "exposed") });
    assert.equal(nodes.summary, "2/2");
    assert.equal(nodes.failing?.[0]?.name, "b");
    assert.equal(condition.status, "False");
  });
  test("that passed, or was of another mode, changes nothing", () => {
    const loopback = planAccess({ nodeAccess: "LoopbackProxy" }, noAutoState);
    for (const found of [contracts("b", "passed"), undefined]) {
      const { condition } = nodesStatus(plan, { ...now, ...(found === undefined ? {} : { contracts: found }) });
      assert.equal(condition.status, "True");
    }
    assert.notEqual(
      nodesStatus(loopback, { ...now, contracts: contracts("b", "failed") }).condition.reason,
      "NodesFailing",
    );
  });
});

describe("status.nodes", () => {
  test("counts ready nodes of all", () => {
    const { nodes, condition } = nodesStatus(plan, world({ a: verdict(true), b: verdict(true) }));
    assert.deepEqual(nodes, { mode: "HostsToml", ready: 2, total: 2, summary: "2/2" });
    assert.deepEqual([condition.status, condition.reason], ["True", "AllNodesPass"]);
  });
  test("names failing nodes with the reason, in order, at most twenty", () => {
    const many = Object.fromEntries(
      Array.from({ length: 30 }, (_, index) => [`n${String(index).padStart(2, "0")}`, verdict(false)]),
    );
    const { nodes, condition } = nodesStatus(plan, world(many));
    assert.equal(nodes.failing?.length, 20);
    assert.deepEqual(nodes.failing?.[0], { name: "n00", reason: "ForeignFile: x is not Slipway's" });
    assert.equal(condition.status, "False");
    assert.match(condition.message, /0 of 30 .*n00: ForeignFile.*and 29 more/);
  });
  test("a pending node is neither", () => {
    const { nodes, condition } = nodesStatus(plan, world({ a: verdict(true), b: undefined }));
    assert.deepEqual([nodes.summary, nodes.failing, condition.status], ["1/2", undefined, "Unknown"]);
  });
  test("before Auto has chosen there is no mode", () => {
    const { nodes, condition } = nodesStatus(planAccess({}, noAutoState), world({ a: verdict(true) }));
    assert.deepEqual([nodes.mode, condition.status, condition.reason], [undefined, "Unknown", "NotChosen"]);
  });
  test("None is no access", () => {
    const { condition } = nodesStatus(planAccess({ nodeAccess: "None" }, noAutoState), world({ a: verdict(true) }));
    assert.deepEqual([condition.status, condition.reason], ["False", "NoAccess"]);
  });
});

describe("nodes that still hold something of ours", () => {
  const cleared: NodeVerdict["removed"] = ["External", "HostsToml", "LoopbackProxy", "None"];
  test("are those that have not reported removal", () => {
    const found = nodesToClear(world({ a: verdict(true), b: verdict(true, cleared), c: undefined }));
    assert.deepEqual(found, { clearing: ["a"], gone: [] });
  });
  test("are told apart when they are NotReady", () => {
    const now = world({ a: verdict(true) });
    const away = { ...now, nodes: now.nodes.map((node) => ({ ...node, readySinceMs: undefined })) };
    assert.deepEqual(nodesToClear(away), { clearing: [], gone: ["a"] });
  });
});

describe("the view of a Node", () => {
  test("keeps what the gate needs", () => {
    const view = projectNode({
      metadata: { name: "a", uid: "u", labels: { zone: "x" }, managedFields: [{}] },
      spec: { unschedulable: true, taints: [{ key: "k", effect: "NoSchedule" }], podCIDR: "10.0.0.0/24" },
      status: {
        conditions: [{ type: "Ready", status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" }],
        nodeInfo: { containerRuntimeVersion: "containerd://2.1.9" },
        images: [{}],
      },
    });
    assert.deepEqual(view, {
      name: "a",
      uid: "u",
      labels: { zone: "x" },
      taints: [{ key: "k", value: "", effect: "NoSchedule" }],
      unschedulable: true,
      readySinceMs: Date.UTC(2026, 0, 1),
      runtime: { name: "containerd", version: "2.1.9" },
      addresses: [],
    });
  });
  test("a node without status is not Ready", () => {
    assert.equal(projectNode({ metadata: { name: "a" } }).readySinceMs, undefined);
  });
  test("reads the runtime as kubelet writes it", () => {
    assert.deepEqual(parseRuntime("cri-o://1.35.0"), { name: "cri-o", version: "1.35.0" });
    assert.deepEqual(parseRuntime("containerd://v1.7.28-k3s1"), { name: "containerd", version: "1.7.28-k3s1" });
    for (const text of [undefined, "", "containerd", "://2"]) assert.equal(parseRuntime(text), null);
  });
});
