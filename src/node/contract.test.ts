import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { Registry } from "prom-client";
import { createManualClock } from "../../test/fake/clock.ts";
import type { ClusterEvent } from "../cluster/event.ts";
import { createLog } from "../log.ts";
import { createContractCheck } from "./contract.ts";
import type { ContractFinding, ContractRegistry, ContractTarget } from "./contract-run.ts";
import type { ContractVerdict } from "./contract-verdict.ts";
import type { NodeView } from "./node-view.ts";
import type { NodeVerdict } from "./verdict.ts";

const ca = "ab".repeat(32);
const passed: ContractFinding = { kind: "passed", message: "pulled" };
const failed: ContractFinding = { kind: "failed", reason: "Proxy", message: "add it to NO_PROXY" };
const undecided: ContractFinding = { kind: "undecided", message: "the push failed" };

function node(name: string, uid = `uid-${name}`): NodeView {
  return { name, uid, labels: {}, taints: [], unschedulable: false, readySinceMs: 1, runtime: null, addresses: [] };
}
function verdict(name: string, passing = true, cas = [ca.slice(0, 16)]): readonly [string, NodeVerdict] {
  const entry = { passing, failures: 0, reason: "", message: "", failedAtMs: 0 };
  return [name, { uid: `uid-${name}`, modes: { HostsToml: entry, LoopbackProxy: entry }, cas, removed: [] }];
}

function start(t: TestContext, outcomes: ContractFinding[]) {
  const clock = createManualClock();
  const metrics = new Registry();
  const contracts = new Map<string, ContractVerdict>();
  const events: ClusterEvent[] = [];
  const runs: { readonly node: string; readonly key: string }[] = [];
  let tidied = 0;
  const state = {
    nodes: [node("a")],
    verdicts: new Map([verdict("a")]),
    target: { mode: "HostsToml", names: [], key: "one", cas: [ca], isolates: true } as Omit<ContractTarget, "registry">,
    hasTarget: true,
  };
  const check = createContractCheck({
    world: () => ({ ...state, contracts, nowMs: clock.nowMs(), replicaStartMs: 0 }),
    target: () => (state.hasTarget ? { ...state.target, registry: {} as ContractRegistry } : undefined),
    book: { contracts: () => contracts, noteContract: (found) => void contracts.set(found.node, found) },
    run: async (name, { key }) => {
      runs.push({ node: name, key });
      return outcomes.shift() ?? passed;
    },
    tidy: async () => {
      tidied += 1;
    },
    events: { record: (event) => void events.push(event), flush: async () => {} },
    clock,
    random: () => 0.5,
    log: createLog({ level: "silent" }),
    metrics,
  });
  const stop = new AbortController();
  const ended = check.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await ended;
  });
  const failing = async () =>
    (await metrics.getSingleMetric("slipway_contract_failing_nodes")?.get())?.values[0]?.value;
  return { check, clock, contracts, events, runs, state, failing, tidied: () => tidied };
}

describe("contract checks", () => {
  test("are made once for each node that passes by its agent", async (t) => {
    const { clock, runs, contracts, check, events, tidied, failing } = start(t, []);
    await clock.advance(10);
    assert.deepEqual(runs, [{ node: "a", key: "one" }]);
    assert.equal(contracts.get("a")?.modes.HostsToml?.outcome, "passed");
    assert.deepEqual(
      events.map(({ type, reason }) => [type, reason]),
      [["Normal", "ContractPassed"]],
    );
    check.touch();
    await clock.advance(3_600_000);
    assert.equal(runs.length, 1);
    assert.ok(tidied() >= 1);
    assert.equal(await failing(), 0);
  });

  const waiting: readonly {
    readonly name: string;
    readonly change: (state: ReturnType<typeof start>["state"]) => void;
  }[] = [
    { name: "a node whose agent does not pass", change: (state) => (state.verdicts = new Map([verdict("a", false)])) },
    {
      name: "a node that has not got the CA yet",
      change: (state) => (state.verdicts = new Map([verdict("a", true, [])])),
    },
    { name: "a node without an agent", change: (state) => (state.verdicts = new Map()) },
    {
      name: "a node that is not Ready",
      change: (state) => (state.nodes = [{ ...node("a"), readySinceMs: undefined }]),
    },
    {
      name: "a Windows node",
      change: (state) => (state.nodes = [{ ...node("a"), labels: { "kubernetes.io/os": "windows" } }]),
    },
    { name: "anything while there is no registry", change: (state) => (state.hasTarget = false) },
  ];
  for (const { name, change } of waiting) {
    test(`leave out ${name}`, async (t) => {
      const { clock, runs, check, state } = start(t, []);
      change(state);
      check.touch();
      await clock.advance(60_000);
      assert.deepEqual(runs, []);
    });
  }

  test("follow a node that joins, and a change of CA, name or address", async (t) => {
    const { clock, runs, check, state } = start(t, []);
    await clock.advance(10);
    state.nodes = [node("a"), node("b")];
    state.verdicts = new Map([verdict("a"), verdict("b")]);
    check.touch();
    await clock.advance(10);
    assert.deepEqual(runs.slice(1), [{ node: "b", key: "one" }]);
    state.target = { ...state.target, key: "two" };
    check.touch();
    await clock.advance(10);
    assert.deepEqual(
      runs
        .slice(2)
        .map(({ node: name, key }) => `${name} ${key}`)
        .sort(),
      ["a two", "b two"],
    );
  });

  test("that fail are told by metric and Event, and repeated until they pass", async (t) => {
    const { clock, runs, contracts, events, failing } = start(t, [failed, failed]);
    await clock.advance(10);
    assert.equal(contracts.get("a")?.modes.HostsToml?.reason, "Proxy");
    assert.equal(await failing(), 1);
    await clock.advance(60_000);
    assert.equal(runs.length, 2);
    await clock.advance(120_000);
    assert.equal(runs.length, 3);
    assert.equal(await failing(), 0);
    assert.deepEqual(
      events.map(({ type, reason, regarding }) => [type, reason, regarding.name]),
      [
        ["Warning", "Proxy", "a"],
        ["Normal", "ContractPassed", "a"],
      ],
    );
  });

  test("that say nothing about the node change nothing and are repeated after a minute, not before", async (t) => {
    const { clock, runs, check, contracts } = start(t, [undecided]);
    await clock.advance(10);
    assert.equal(contracts.size, 0);
    check.touch();
    await clock.advance(30_000);
    assert.equal(runs.length, 1);
    await clock.advance(31_000);
    assert.equal(runs.length, 2);
    assert.equal(contracts.size, 1);
  });
});
