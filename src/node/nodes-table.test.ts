import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ContractVerdict } from "./contract-verdict.ts";
import type { NodeView } from "./node-view.ts";
import { type NodesReading, nodeRows } from "./nodes-table.ts";
import type { ModeVerdict, NodeVerdict } from "./verdict.ts";

const node = (name: string, labels = {}): NodeView => ({
  name,
  uid: "",
  labels,
  taints: [],
  unschedulable: false,
  readySinceMs: 1,
  runtime: null,
  addresses: [],
});
const verdict = (entry: Partial<ModeVerdict>): NodeVerdict => ({
  uid: "",
  modes: { HostsToml: { passing: false, failures: 0, reason: "", message: "", failedAtMs: 0, ...entry } },
  cas: [],
  removed: [],
});
const contract = (name: string, outcome: "passed" | "failed" | "exposed"): ContractVerdict => {
  const reason = outcome === "passed" ? "" : "Proxy";
  const result = { outcome, reason, message: "words", key: "", atMs: 0, failures: 0 };
  return { node: name, uid: "", looks: 1, last: "HostsToml" as const, modes: { HostsToml: result } };
};
const reading = (rest: Partial<NodesReading>): NodesReading => ({
  nodes: [node("a")],
  status: { mode: "HostsToml", ready: 0, total: 1, summary: "0/1" },
  verdicts: new Map(),
  contracts: new Map(),
  ...rest,
});

describe("slipway nodes", () => {
  const cases: readonly {
    readonly name: string;
    readonly of: Partial<NodesReading>;
    readonly want: readonly string[];
  }[] = [
    {
      name: "a node that passes",
      of: {
        verdicts: new Map([["a", verdict({ passing: true })]]),
        contracts: new Map([["a", contract("a", "passed")]]),
      },
      want: ["HostsToml", "yes", "passed", ""],
    },
    {
      name: "a node whose contract check failed",
      of: {
        verdicts: new Map([["a", verdict({ passing: true })]]),
        contracts: new Map([["a", contract("a", "failed")]]),
      },
      want: ["HostsToml", "no", "failed", "Proxy"],
    },
    {
      name: "a node that has failed once is pending, with what it lacks",
      of: { verdicts: new Map([["a", verdict({ failures: 1, reason: "Unreachable" })]]) },
      want: ["HostsToml", "pending", "none", "Unreachable"],
    },
    {
      name: "a node that failed thrice does not pass",
      of: { verdicts: new Map([["a", verdict({ failures: 3, reason: "ForeignFile" })]]) },
      want: ["HostsToml", "no", "none", "ForeignFile"],
    },
    {
      name: "a node without a report, which status calls failing",
      of: {
        status: {
          mode: "HostsToml",
          ready: 0,
          total: 1,
          summary: "0/1",
          failing: [{ name: "a", reason: "NoAgent: none" }],
        },
      },
      want: ["HostsToml", "no", "none", "NoAgent"],
    },
    { name: "a node that nobody has heard of", of: {}, want: ["HostsToml", "pending", "none", "NoReport"] },
    { name: "before a mode is chosen", of: { status: undefined }, want: ["", "pending", "none", "NotChosen"] },
    {
      name: "a Windows node",
      of: { nodes: [node("a", { "kubernetes.io/os": "windows" })] },
      want: ["HostsToml", "no", "none", "Windows"],
    },
  ];
  for (const { name, of, want } of cases) {
    test(name, () => {
      const rows = nodeRows(reading(of)).map((row) => [row.mode, row.passed, row.contract, row.reason]);
      assert.deepEqual(rows, [want]);
    });
  }
  test("lists nodes by name", () => {
    const rows = nodeRows(reading({ nodes: [node("b"), node("a")] }));
    assert.deepEqual(
      rows.map((row) => row.node),
      ["a", "b"],
    );
  });
});
