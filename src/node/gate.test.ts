import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { PodPlacement } from "../admission/world.ts";
import type { NodeAccessMode } from "../config/local-registry.ts";
import { gateVerdict } from "./gate.ts";
import type { NodeView } from "./node-view.ts";
import type { NodesNow, OverdueNodes } from "./standing.ts";
import type { ModeVerdict, NodeVerdict } from "./verdict.ts";

const nowMs = 10_000_000;
const longAgoMs = nowMs - 3_600_000;

const anywhere: PodPlacement = {
  nodeName: undefined,
  nodeSelector: {},
  requiredNodeAffinity: undefined,
  tolerations: [],
};

function node(name: string, fields: Partial<NodeView> = {}): NodeView {
  return {
    name,
    uid: `uid-${name}`,
    labels: { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" },
    taints: [],
    unschedulable: false,
    addresses: [],
    readySinceMs: longAgoMs,
    runtime: null,
    ...fields,
  };
}

const passing: ModeVerdict = { passing: true, failures: 0, reason: "", message: "", failedAtMs: 0 };
const failed = (failures: number, before = false): ModeVerdict => ({
  passing: before,
  failures,
  reason: "Unreachable",
  message: "no route",
  failedAtMs: nowMs,
});

function verdict(name: string, entry: ModeVerdict | undefined, uid = `uid-${name}`): readonly [string, NodeVerdict] {
  return [name, { uid, modes: entry === undefined ? {} : { HostsToml: entry }, cas: [], removed: [] }];
}

function world(nodes: readonly NodeView[], verdicts: readonly (readonly [string, NodeVerdict])[]): NodesNow {
  return { nodes, verdicts: new Map(verdicts), nowMs, replicaStartMs: longAgoMs };
}

const late = (name: string, uid = `uid-${name}`): OverdueNodes => ({
  mode: "HostsToml",
  nodes: new Map([[name, uid]]),
});

const good = [node("a"), node("b")];
const goodVerdicts = [verdict("a", passing), verdict("b", passing)];

describe("the gate", () => {
  const cases: readonly {
    readonly name: string;
    readonly world: NodesNow;
    readonly placement?: Partial<PodPlacement>;
    readonly mode?: NodeAccessMode | null;
    readonly closedBy?: string;
  }[] = [
    { name: "is open when every node passes", world: world(good, goodVerdicts) },
    { name: "is open when there are no nodes at all", world: world([], []) },
    {
      name: "stays open for a node that has just become Ready and has not been heard of",
      world: world([node("a", { readySinceMs: nowMs - 119_000 })], []),
    },
    {
      name: "closes when a node has been Ready for two minutes and has not been heard of",
      world: world([node("a", { readySinceMs: nowMs - 120_000 })], []),
      closedBy: "a",
    },
    {
      name: "counts the two minutes from this replica's start when that is later",
      world: { ...world([node("a")], []), replicaStartMs: nowMs - 119_000 },
    },
    {
      name: "closes two minutes after this replica's start for a node that never passed",
      world: { ...world([node("a")], []), replicaStartMs: nowMs - 120_000 },
      closedBy: "a",
    },
    {
      name: "stays open for a node that is not Ready and has not been heard of",
      world: world([node("a", { readySinceMs: undefined })], []),
    },
    {
      name: "stays open after one and two failed checks of a node that has passed",
      world: world(good, [verdict("a", failed(1, true)), verdict("b", failed(2, true))]),
    },
    {
      name: "stays open after two failed checks of a new node that never passed",
      world: world([node("a", { readySinceMs: nowMs - 60_000 })], [verdict("a", failed(2))]),
    },
    {
      name: "closes after three failed checks, however new the node",
      world: world([node("a", { readySinceMs: nowMs - 40_000 })], [verdict("a", failed(3))]),
      closedBy: "a",
    },
    {
      name: "closes after three failed checks of a node that has passed before",
      world: world(good, [verdict("a", passing), verdict("b", failed(3))]),
      closedBy: "b",
    },
    {
      name: "closes when a node Ready for two minutes has failed twice and never passed",
      world: world(good, [verdict("a", passing), verdict("b", failed(2))]),
      closedBy: "b",
    },
    {
      name: "does not take the verdict of an earlier node of the same name",
      world: world([node("a")], [verdict("a", passing, "uid-earlier")]),
      closedBy: "a",
    },
    {
      name: "looks at the chosen mode alone",
      world: world(good, goodVerdicts),
      mode: "LoopbackProxy",
      closedBy: "a",
    },
    {
      name: "is open before the first choice, when nothing is rewritten anyhow",
      world: world([node("a")], []),
      mode: null,
    },
    {
      name: "stays closed over a restart of serve for a node that was late before",
      world: { ...world([node("a")], []), replicaStartMs: nowMs, overdue: late("a") },
      closedBy: "a",
    },
    {
      name: "does not count what an earlier node of the same name was late with",
      world: { ...world([node("a")], []), replicaStartMs: nowMs, overdue: late("a", "uid-earlier") },
    },
    {
      name: "does not count what a node was late with in another mode",
      world: { ...world([node("a")], []), replicaStartMs: nowMs, overdue: { ...late("a"), mode: "LoopbackProxy" } },
    },
    {
      name: "opens for a late node that passes now, and for one that is not Ready any more",
      world: {
        ...world([node("a"), node("b", { readySinceMs: undefined })], [verdict("a", passing)]),
        overdue: { mode: "HostsToml", nodes: new Map([...late("a").nodes, ...late("b").nodes]) },
      },
    },
    { name: "is closed for every node in mode None", world: world([], []), mode: "None", closedBy: "*" },
    {
      name: "is open for a pod whose nodeName is a good node",
      world: world(good, [verdict("a", passing), verdict("b", failed(3))]),
      placement: { nodeName: "a" },
    },
    {
      name: "is closed for a pod whose nodeName is the failing node, tainted or not",
      world: world(
        [node("a"), node("b", { taints: [{ key: "x", value: "", effect: "NoSchedule" }] })],
        [verdict("a", passing), verdict("b", failed(3))],
      ),
      placement: { nodeName: "b" },
      closedBy: "b",
    },
    {
      name: "is open for a pod whose nodeName is not known yet",
      world: world(good, goodVerdicts),
      placement: { nodeName: "new" },
    },
    {
      name: "is open for a pod whose nodeSelector leaves the failing node out",
      world: world(good, [verdict("a", passing), verdict("b", failed(3))]),
      placement: { nodeSelector: { "kubernetes.io/hostname": "a" } },
    },
    {
      name: "is open for a pod that does not tolerate the failing node's taint",
      world: world(
        [node("a"), node("b", { taints: [{ key: "gpu", value: "yes", effect: "NoSchedule" }] })],
        [verdict("a", passing), verdict("b", failed(3))],
      ),
    },
    {
      name: "is closed for a pod that tolerates the failing node's taint",
      world: world(
        [node("a"), node("b", { taints: [{ key: "gpu", value: "yes", effect: "NoSchedule" }] })],
        [verdict("a", passing), verdict("b", failed(3))],
      ),
      placement: { tolerations: [{ key: "gpu", operator: "Exists" }] },
      closedBy: "b",
    },
    {
      name: "is open for a pod that may run on Windows only by mistake",
      world: world([node("a"), node("w", { labels: { "kubernetes.io/os": "windows" } })], [verdict("a", passing)]),
    },
    {
      name: "is closed for a pod that asks for Windows, where no agent runs",
      world: world([node("a"), node("w", { labels: { "kubernetes.io/os": "windows" } })], [verdict("a", passing)]),
      placement: { nodeSelector: { "kubernetes.io/os": "windows" } },
      closedBy: "w",
    },
  ];
  for (const { name, world: now, placement, mode = "HostsToml", closedBy } of cases) {
    test(name, () => {
      const found = gateVerdict({ ...anywhere, ...placement }, mode, now);
      assert.equal(found.kind === "closed" ? found.node : undefined, closedBy);
    });
  }

  test("says which node lacks what", () => {
    const found = gateVerdict(anywhere, "HostsToml", world(good, [verdict("a", failed(3)), verdict("b", passing)]));
    assert.deepEqual(found, { kind: "closed", node: "a", reason: "Unreachable: no route" });
  });

  test("says that the agent is missing where none has reported", () => {
    const found = gateVerdict(anywhere, "HostsToml", world([node("a")], []));
    assert.match(found.kind === "closed" ? found.reason : "", /^NoAgent: .*slipway-node/);
  });
});

describe("a contract check and the gate", () => {
  const contracts = (outcome: "failed" | "exposed", uid = "uid-b") => {
    const result = { outcome, reason: "Proxy", message: "NO_PROXY", key: "", atMs: 0, failures: 1 };
    return new Map([["b", { node: "b", uid, looks: 1, last: "HostsToml" as const, modes: { HostsToml: result } }]]);
  };
  const now = world(good, goodVerdicts);
  test("that failed closes it, though the agent passes", () => {
    const verdict = gateVerdict(anywhere, "HostsToml", { ...now, contracts: contracts("failed") });
    assert.deepEqual(verdict, { kind: "closed", node: "b", reason: "Proxy: NO_PROXY" });
  });
  test("of an earlier node of that name, or about isolation alone, does not", () => {
    assert.equal(gateVerdict(anywhere, "HostsToml", { ...now, contracts: contracts("failed", "old") }).kind, "open");
    assert.equal(gateVerdict(anywhere, "HostsToml", { ...now, contracts: contracts("exposed") }).kind, "open");
  });
});
