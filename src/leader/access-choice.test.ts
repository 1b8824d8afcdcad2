import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { createMemoryStore } from "../cluster/memory-store.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { LocalRegistrySpec, NodeAccessMode } from "../config/local-registry.ts";
import { createLog } from "../log.ts";
import { gateVerdict } from "../node/gate.ts";
import type { NodeView } from "../node/node-view.ts";
import { graceMs, type NodesNow } from "../node/standing.ts";
import { createVerdictBook } from "../node/verdict-book.ts";
import { createAccessChoice } from "./access-choice.ts";

const address = "slipway-system/slipway-nodes";
const anywhere = { nodeName: undefined, nodeSelector: {}, requiredNodeAffinity: undefined, tolerations: [] };

/** A replica of serve that leads; `data` is ConfigMap slipway-nodes, which outlives it. */
function lead(data: Record<string, string>, spec: { current: LocalRegistrySpec | null }, names = ["a"]) {
  const clock = createManualClock();
  const object = (): KubernetesObject => ({ metadata: { name: "slipway-nodes" }, data: { ...data } });
  const store = createMemoryStore<KubernetesObject>([[address, object()]]);
  const api = {
    merge: async (_resource: unknown, _address: unknown, patch: unknown) => {
      for (const [key, text] of Object.entries((patch as { data: Record<string, string | null> }).data)) {
        if (text === null) delete data[key];
        else data[key] = text;
      }
      store.set(address, object());
      return object();
    },
    create: async () => assert.fail("it is there"),
  };
  const book = createVerdictBook({ store, api, clock, log: createLog({ level: "silent" }) });
  const replicaStartMs = clock.nowMs();
  const nodes = names.map((name): NodeView => {
    const view = { name, uid: `uid-${name}`, labels: {}, taints: [], unschedulable: false, runtime: null };
    return { ...view, addresses: [], readySinceMs: 1 };
  });
  const world = (): NodesNow => ({
    nodes,
    verdicts: book.verdicts(),
    contracts: book.contracts(),
    overdue: book.overdue(),
    nowMs: clock.nowMs(),
    replicaStartMs,
  });
  const modes: (NodeAccessMode | null)[] = [];
  const choice = createAccessChoice({
    spec: () => spec.current,
    world,
    book,
    onMode: (mode) => void modes.push(mode),
    clock,
  });
  const stop = new AbortController();
  const running = choice.run(stop.signal);
  const end = async () => {
    stop.abort(new Error("stopped"));
    await running;
  };
  const gate = () => gateVerdict(anywhere, "HostsToml", world()).kind;
  return { clock, book, modes, choice, gate, end };
}

describe("the leader's choice of node access", () => {
  test("tells each mode once, and looks at once when it is told to", async () => {
    const spec: { current: LocalRegistrySpec | null } = { current: { nodeAccess: "HostsToml" } };
    const { clock, modes, choice, end } = lead({}, spec);
    await clock.whenSleeping();
    await clock.advance(20_000);
    assert.deepEqual(modes, ["HostsToml"]);
    spec.current = { nodeAccess: "LoopbackProxy" };
    choice.touch();
    await clock.advance(0);
    assert.deepEqual(modes, ["HostsToml", "LoopbackProxy"]);
    await end();
  });

  test("drops the verdicts of nodes that are gone", async () => {
    const gone = JSON.stringify({ uid: "", modes: {}, cas: [], removed: [] });
    const data: Record<string, string> = { gone, a: gone };
    const { clock, end } = lead(data, { current: { nodeAccess: "HostsToml" } });
    await clock.whenSleeping();
    await end();
    assert.deepEqual(
      Object.keys(data).filter((key) => !key.startsWith("_")),
      ["a"],
    );
  });

  test("keeps a gate closed over its restart that a node without an agent closed", async () => {
    const data: Record<string, string> = {};
    const spec = { current: { nodeAccess: "HostsToml" } } as const;
    const first = lead(data, spec);
    await first.clock.whenSleeping();
    assert.equal(first.gate(), "open");
    await first.clock.advance(graceMs);
    await first.clock.advance(10_000);
    assert.equal(first.gate(), "closed");
    await first.end();

    const second = lead(data, spec);
    assert.equal(second.gate(), "closed");
    await second.clock.whenSleeping();
    assert.equal(second.gate(), "closed");
    second.book.note(
      { name: "a", uid: "uid-a" },
      { modes: [{ mode: "HostsToml", passed: true, reason: "Passed", message: "" }], trustedCas: [] },
    );
    assert.equal(second.gate(), "open");
    await second.clock.advance(10_000);
    await second.end();
    assert.equal(data._overdue, undefined);
  });
});
