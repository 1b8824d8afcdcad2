import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { NodeView } from "./node-view.ts";
import { formatOverdue, overdueNodes, parseOverdue } from "./overdue.ts";
import { graceMs, type NodesNow } from "./standing.ts";
import type { ModeVerdict } from "./verdict.ts";

const startMs = 1_000_000;

function node(name: string, readySinceMs: number | undefined = startMs): NodeView {
  const view = { name, uid: `uid-${name}`, labels: {}, taints: [], unschedulable: false, runtime: null, addresses: [] };
  return { ...view, readySinceMs };
}

const entry = (fields: Partial<ModeVerdict>): ModeVerdict => ({
  passing: false,
  failures: 0,
  reason: "",
  message: "",
  failedAtMs: 0,
  ...fields,
});

function world(fields: Partial<NodesNow>, modes: Readonly<Record<string, ModeVerdict>> = {}): NodesNow {
  const verdicts = Object.entries(modes).map(
    ([name, HostsToml]) => [name, { uid: `uid-${name}`, modes: { HostsToml }, cas: [], removed: [] }] as const,
  );
  const nodes = [node("b"), node("a")];
  return { nodes, verdicts: new Map(verdicts), nowMs: startMs + graceMs, replicaStartMs: startMs, ...fields };
}

describe("nodes that are late", () => {
  const cases = [
    { name: "were Ready for two minutes and not heard of", world: world({}), late: ["a", "b"] },
    { name: "are none before the two minutes", world: world({ nowMs: startMs + graceMs - 1 }), late: [] },
    { name: "do not pass in the mode", world: world({}, { a: entry({ passing: true }) }), late: ["b"] },
    {
      name: "have not failed thrice, which their verdict says",
      world: world({}, { a: entry({ failures: 3 }) }),
      late: ["b"],
    },
    { name: "are Ready", world: world({ nodes: [node("a"), { ...node("b"), readySinceMs: undefined }] }), late: ["a"] },
    {
      name: "stay so for a leader that has just started",
      world: world({
        replicaStartMs: startMs + graceMs,
        overdue: { mode: "HostsToml", nodes: new Map([["b", "uid-b"]]) },
      }),
      late: ["b"],
    },
  ] as const;
  for (const { name, world: now, late } of cases) {
    test(name, () => {
      assert.deepEqual([...(overdueNodes("HostsToml", now)?.nodes.keys() ?? [])], late);
    });
  }

  test("there are none where no mode is in force", () => {
    assert.equal(overdueNodes(null, world({})), null);
    assert.equal(overdueNodes("None", world({})), null);
  });

  test("are kept as a text that reads back", () => {
    const late = overdueNodes("HostsToml", world({})) ?? assert.fail();
    assert.deepEqual(parseOverdue(formatOverdue(late)), late);
    for (const text of [undefined, "", "{", "[]", '{"mode":"Other","nodes":{}}']) {
      assert.equal(parseOverdue(text), undefined);
    }
  });
});
