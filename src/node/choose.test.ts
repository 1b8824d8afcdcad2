import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { NodeAccessMode } from "../config/local-registry.ts";
import { nextAuto, planAccess } from "./access-plan.ts";
import { formatAuto, parseAuto } from "./auto-memory.ts";
import { type AutoState, betterForMs, chooseMode, noAutoState } from "./choose.ts";
import type { NodeView } from "./node-view.ts";
import { graceMs, type NodesNow } from "./standing.ts";
import type { ModeVerdict, NodeVerdict } from "./verdict.ts";

const startMs = 50_000_000;
const ok: ModeVerdict = { passing: true, failures: 0, reason: "", message: "", failedAtMs: 0 };
const lasting = (reason: string): ModeVerdict => ({ passing: false, failures: 1, reason, message: "", failedAtMs: 1 });
const outage = (failures: number, passing = false): ModeVerdict => ({
  passing,
  failures,
  reason: "Unreachable",
  message: "",
  failedAtMs: 1,
});
const noName = lasting("NameUnknown");

type Modes = NodeVerdict["modes"];

function world(nodes: Readonly<Record<string, Modes | undefined>>, afterMs = 10_000): NodesNow {
  const names = Object.keys(nodes);
  return {
    nodes: names.map((name) => node(name)),
    verdicts: new Map(names.flatMap((name) => (nodes[name] ? [[name, verdict(nodes[name])]] : []))),
    nowMs: startMs + afterMs,
    replicaStartMs: startMs,
  };
}

function node(name: string): NodeView {
  return {
    name,
    uid: "",
    labels: {},
    taints: [],
    unschedulable: false,
    readySinceMs: startMs,
    runtime: null,
    addresses: [],
  };
}

function verdict(modes: Modes): NodeVerdict {
  return { uid: "", modes, cas: [], removed: [] };
}

/** Runs Auto over several moments. */
function after(...worlds: readonly NodesNow[]): AutoState {
  return worlds.reduce(chooseMode, noAutoState);
}

const hosts: Modes = { External: noName, HostsToml: ok };
const onlyLoopback: Modes = { External: noName, HostsToml: lasting("ConfigPathUnset"), LoopbackProxy: ok };

describe("the first choice of Auto", () => {
  const cases: readonly {
    readonly name: string;
    readonly worlds: readonly NodesNow[];
    readonly mode: NodeAccessMode | null;
  }[] = [
    {
      name: "is External where all nodes know the name already",
      worlds: [world({ a: { External: ok, HostsToml: ok } })],
      mode: "External",
    },
    { name: "is HostsToml where names are unknown", worlds: [world({ a: hosts, b: hosts })], mode: "HostsToml" },
    { name: "waits for a node that has not been heard of", worlds: [world({ a: hosts, b: undefined })], mode: null },
    {
      name: "leaves a node out that was not heard of for two minutes",
      worlds: [world({ a: hosts, b: undefined }), world({ a: hosts, b: undefined }, 10_000 + graceMs)],
      mode: "HostsToml",
    },
    { name: "is none while there are no nodes", worlds: [world({})], mode: null },
    {
      name: "waits out a registry that does not answer yet",
      worlds: [world({ a: { External: noName, HostsToml: outage(1) } })],
      mode: null,
    },
    {
      name: "waits for the loopback proxy where containerd reads no certs.d",
      worlds: [world({ a: hosts, b: { External: noName, HostsToml: lasting("ConfigPathUnset") } })],
      mode: null,
    },
    {
      name: "is LoopbackProxy when that passes on all nodes",
      worlds: [world({ a: { ...hosts, LoopbackProxy: ok }, b: onlyLoopback })],
      mode: "LoopbackProxy",
    },
    {
      name: "leaves out a node that passes in no mode",
      worlds: [
        world({
          a: hosts,
          b: { External: noName, HostsToml: lasting("ReadOnly"), LoopbackProxy: lasting("PortTaken") },
        }),
      ],
      mode: "HostsToml",
    },
    {
      name: "is None when no mode passes on all nodes that pass in one",
      worlds: [
        world({
          a: { External: noName, HostsToml: ok, LoopbackProxy: lasting("PortTaken") },
          b: onlyLoopback,
        }),
      ],
      mode: "None",
    },
  ];
  for (const { name, worlds, mode } of cases) test(name, () => assert.equal(after(...worlds).mode, mode));

  test("orders the loopback proxy only once HostsToml fails somewhere", () => {
    assert.equal(after(world({ a: hosts })).triedSinceMs.LoopbackProxy, undefined);
    const failing = world({ a: { External: noName, HostsToml: lasting("ConfigPathUnset") } });
    assert.notEqual(after(failing).triedSinceMs.LoopbackProxy, undefined);
  });
  test("takes nodes that are not Ready for nothing", () => {
    const now = world({ a: hosts });
    assert.equal(
      chooseMode(noAutoState, { ...now, nodes: [...now.nodes, { ...node("b"), readySinceMs: undefined }] }).mode,
      "HostsToml",
    );
  });
  test("says why", () => {
    assert.match(after(world({ a: hosts })).reason, /HostsToml passes .*External does not on a \(NameUnknown\)/);
    assert.match(after(world({ a: hosts, b: undefined })).reason, /waiting for .* on b \(NoAgent: .*node-agent/);
  });
  test("names each node that a better mode fails on, with its reason and what to do", () => {
    const unset = { ...lasting("ConfigPathUnset"), message: "set config_path" };
    const lacking: Modes = { External: noName, HostsToml: unset, LoopbackProxy: ok };
    const foreign: Modes = { External: noName, HostsToml: lasting("ForeignFile"), LoopbackProxy: ok };
    const nodes = { a: lacking, b: foreign, c: lacking, d: { ...hosts, LoopbackProxy: ok } };
    const { mode, reason } = after(world(nodes));
    assert.equal(mode, "LoopbackProxy");
    assert.match(reason, /HostsToml does not on a, c \(ConfigPathUnset: set config_path\), b \(ForeignFile\)(;|$)/);
  });
  test("names the runtime's own words where a contract check failed", () => {
    const now = world({ a: { ...hosts, LoopbackProxy: ok } });
    const result = { outcome: "failed", reason: "Proxy", message: "NO_PROXY", key: "", atMs: 0, failures: 1 } as const;
    const verdict = { node: "a", uid: "", looks: 1, last: "HostsToml" as const, modes: { HostsToml: result } };
    const { mode, reason } = after({ ...now, contracts: new Map([["a", verdict]]) });
    assert.equal(mode, "LoopbackProxy");
    assert.match(reason, /HostsToml does not on a \(Proxy: NO_PROXY\)/);
  });
  test("of None names what each mode lacks", () => {
    const a: Modes = { External: noName, HostsToml: ok, LoopbackProxy: lasting("PortTaken") };
    const { reason } = after(world({ a, b: onlyLoopback }));
    assert.match(reason, /HostsToml does not on b \(ConfigPathUnset\); LoopbackProxy does not on a \(PortTaken\)/);
  });
});

describe("Auto does not flap", () => {
  const chosen = after(world({ a: hosts, b: hosts }));

  test("one or two failed checks change nothing", () => {
    const shaky: Modes = { External: noName, HostsToml: outage(2, true), LoopbackProxy: ok };
    assert.equal(chooseMode(chosen, world({ a: hosts, b: shaky }, 20_000)).mode, "HostsToml");
  });
  test("an outage, in which every mode fails everywhere, changes nothing", () => {
    const down: Modes = { External: noName, HostsToml: outage(3), LoopbackProxy: outage(3) };
    assert.equal(chooseMode(chosen, world({ a: down, b: down }, 500_000)).mode, "HostsToml");
  });
  test("a new node that is pending changes nothing", () => {
    assert.equal(chooseMode(chosen, world({ a: hosts, b: hosts, c: undefined }, 20_000)).mode, "HostsToml");
  });
  test("a node that fails in it and passes in another moves all, once that passes everywhere", () => {
    const joined: Modes = { External: noName, HostsToml: lasting("ConfigPathUnset") };
    const asked = chooseMode(chosen, world({ a: hosts, b: joined }, 20_000));
    assert.equal(asked.mode, "HostsToml");
    const both: Modes = { ...hosts, LoopbackProxy: ok };
    const moved = chooseMode(asked, world({ a: both, b: onlyLoopback }, 30_000));
    assert.equal(moved.mode, "LoopbackProxy");
    assert.deepEqual(moved.used, ["HostsToml", "LoopbackProxy"]);
  });
  test("a node that fails in every mode moves nobody", () => {
    const broken: Modes = { External: noName, HostsToml: outage(3), LoopbackProxy: lasting("PortTaken") };
    const both: Modes = { ...hosts, LoopbackProxy: ok };
    assert.equal(chooseMode(chosen, world({ a: both, b: broken }, 30_000)).mode, "HostsToml");
  });

  const onLoopback = after(world({ a: { ...hosts, LoopbackProxy: ok }, b: onlyLoopback }));
  const repaired = { a: { ...hosts, LoopbackProxy: ok }, b: { ...hosts, LoopbackProxy: ok } };

  test("an earlier mode has to pass everywhere for ten minutes", () => {
    const began = chooseMode(onLoopback, world(repaired, 20_000));
    assert.equal(began.mode, "LoopbackProxy");
    assert.equal(chooseMode(began, world(repaired, 20_000 + betterForMs - 1)).mode, "LoopbackProxy");
    assert.equal(chooseMode(began, world(repaired, 20_000 + betterForMs)).mode, "HostsToml");
  });
  test("a break starts the ten minutes anew", () => {
    const began = chooseMode(onLoopback, world(repaired, 20_000));
    const broke = chooseMode(began, world({ ...repaired, b: onlyLoopback }, 300_000));
    const again = chooseMode(broke, world(repaired, 400_000));
    assert.equal(chooseMode(again, world(repaired, 20_000 + betterForMs)).mode, "LoopbackProxy");
  });
  test("from None it moves at once", () => {
    const none = { ...noAutoState, mode: "None" as const };
    assert.equal(chooseMode(none, world({ a: hosts })).mode, "HostsToml");
  });
  test("its memory survives a restart", () => {
    assert.deepEqual(parseAuto(formatAuto(onLoopback)), onLoopback);
    assert.deepEqual(parseAuto("nonsense"), noAutoState);
    assert.deepEqual(parseAuto(undefined), noAutoState);
  });
});

describe("the plan of node access", () => {
  test("without a LocalRegistry everything goes", () => {
    assert.deepEqual(planAccess(null, noAutoState).remove, ["External", "HostsToml", "LoopbackProxy", "None"]);
  });
  test("an explicit mode removes all others", () => {
    const plan = planAccess({ nodeAccess: "LoopbackProxy" }, noAutoState);
    assert.deepEqual([plan.modes, plan.remove], [["LoopbackProxy"], ["External", "HostsToml", "None"]]);
  });
  test("Auto serves on what it has left", () => {
    const state: AutoState = { ...noAutoState, mode: "LoopbackProxy", used: ["HostsToml", "LoopbackProxy"] };
    const plan = planAccess({}, state);
    assert.deepEqual(plan.modes, ["LoopbackProxy", "HostsToml"]);
    assert.ok(!plan.remove.includes("HostsToml"));
  });
  test("every mode is served or removed, never both", () => {
    for (const nodeAccess of ["Auto", "External", "HostsToml", "LoopbackProxy", "None"] as const) {
      const plan = planAccess({ nodeAccess }, after(world({ a: hosts })));
      assert.deepEqual([...plan.modes, ...plan.remove].toSorted(), ["External", "HostsToml", "LoopbackProxy", "None"]);
    }
  });
  test("Auto after an explicit mode goes on with that mode", () => {
    const before = nextAuto({ nodeAccess: "LoopbackProxy" }, noAutoState, world({ a: hosts }));
    const both: Modes = { ...hosts, LoopbackProxy: ok };
    assert.equal(nextAuto({ nodeAccess: "Auto" }, before, world({ a: both })).mode, "LoopbackProxy");
  });
});

describe("Auto and contract checks", () => {
  const failed = { outcome: "failed", reason: "Proxy", message: "", key: "", atMs: 0, failures: 1 } as const;
  const contracts = new Map([
    ["a", { node: "a", uid: "", looks: 1, last: "HostsToml" as const, modes: { HostsToml: failed } }],
  ]);
  const both: Modes = { External: noName, HostsToml: ok, LoopbackProxy: ok };

  test("a node on which kubelet cannot pull by HostsToml moves the cluster to LoopbackProxy, and it stays there", () => {
    const chosen = after(world({ a: hosts, b: hosts }));
    assert.equal(chosen.mode, "HostsToml");
    const tried = chooseMode(chosen, { ...world({ a: hosts, b: hosts }), contracts });
    assert.notEqual(tried.triedSinceMs.LoopbackProxy, undefined);
    const moved = chooseMode(tried, { ...world({ a: both, b: both }), contracts });
    assert.equal(moved.mode, "LoopbackProxy");
    const later = chooseMode(moved, { ...world({ a: both, b: both }, 10 * betterForMs), contracts });
    assert.equal(later.mode, "LoopbackProxy");
  });
});
