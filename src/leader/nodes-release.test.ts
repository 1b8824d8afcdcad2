import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import type { NodeView } from "../node/node-view.ts";
import { nextVerdict } from "../node/verdict.ts";
import { createNodesRelease } from "./nodes-release.ts";

const node = (name: string, readySinceMs: number | undefined): NodeView => ({
  name,
  uid: name,
  labels: {},
  taints: [],
  unschedulable: false,
  readySinceMs,
  runtime: null,
  addresses: [],
});
const reported = (removed: readonly ("HostsToml" | "LoopbackProxy")[]) =>
  nextVerdict(undefined, { uid: "a", findings: { modes: [], trustedCas: [], removed } }, 0);

function release(nodes: readonly NodeView[], verdict: ReturnType<typeof reported> | undefined, ageMs: number) {
  const clock = createManualClock();
  const deletionTimestamp = new Date(clock.nowMs() - ageMs).toISOString();
  const verdicts = new Map(verdict === undefined ? [] : [["a", verdict]]);
  const world = { nodes, verdicts, contracts: new Map(), nowMs: clock.nowMs(), replicaStartMs: 0 };
  return createNodesRelease({ world: () => world, clock })({ metadata: { name: "default", deletionTimestamp } });
}

describe("the end of LocalRegistry waits for nodes", () => {
  const cases = [
    {
      name: "not for one that never reported",
      nodes: [node("a", 1)],
      verdict: undefined,
      ageMs: 0,
      want: { kind: "released", skipped: [] },
    },
    {
      name: "not for one that has removed everything",
      nodes: [node("a", 1)],
      verdict: reported(["HostsToml", "LoopbackProxy"]),
      ageMs: 0,
      want: { kind: "released", skipped: [] },
    },
    {
      name: "for one that still holds something",
      nodes: [node("a", 1)],
      verdict: reported([]),
      ageMs: 1_000,
      want: { kind: "waiting", nodes: ["a"] },
    },
    {
      name: "for one that is NotReady, at first",
      nodes: [node("a", undefined)],
      verdict: reported([]),
      ageMs: 1_000,
      want: { kind: "waiting", nodes: ["a"] },
    },
    {
      name: "no longer than a minute, and names it then",
      nodes: [node("a", undefined)],
      verdict: reported([]),
      ageMs: 61_000,
      want: { kind: "released", skipped: ["a"] },
    },
  ] as const;
  for (const { name, nodes, verdict, ageMs, want } of cases) {
    test(name, async () => assert.deepEqual(await release(nodes, verdict, ageMs), want));
  }
});
