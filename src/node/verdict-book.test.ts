import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { ApiError, type ClusterApi } from "../cluster/api.ts";
import { createMemoryStore } from "../cluster/memory-store.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { createLog } from "../log.ts";
import { noAutoState } from "./choose.ts";
import type { NodeFindings } from "./protocol.ts";
import { failureSpacingMs } from "./verdict.ts";
import { createVerdictBook } from "./verdict-book.ts";

const key = "slipway-system/slipway-nodes";
const node = { name: "a", uid: "1" };
const passed: NodeFindings = {
  modes: [{ mode: "HostsToml", passed: true, reason: "Passed", message: "" }],
  trustedCas: [],
};
const failed: NodeFindings = {
  modes: [{ mode: "HostsToml", passed: false, reason: "Unreachable", message: "x" }],
  trustedCas: [],
};

type Patch = Readonly<Record<string, string | null>>;

function open(initial?: Readonly<Record<string, string>>) {
  const clock = createManualClock();
  const object = (data: Readonly<Record<string, string>>): KubernetesObject => ({
    metadata: { name: "slipway-nodes", namespace: "slipway-system" },
    data,
  });
  const store = createMemoryStore<KubernetesObject>(initial === undefined ? [] : [[key, object(initial)]]);
  const state = { exists: initial !== undefined, fails: false, data: { ...initial } as Record<string, string> };
  const patches: Patch[] = [];
  const take = (data: Patch): KubernetesObject => {
    if (state.fails) throw new ApiError({ status: 500, reason: "InternalError", message: "away" });
    patches.push(data);
    for (const [name, text] of Object.entries(data)) {
      if (text === null) delete state.data[name];
      else state.data[name] = text;
    }
    return object(state.data);
  };
  const api: Pick<ClusterApi, "merge" | "create"> = {
    merge: async (_resource, _address, patch) => {
      if (!state.exists) throw new ApiError({ status: 404, reason: "NotFound", message: "no such ConfigMap" });
      return take((patch as { data: Patch }).data);
    },
    create: async (_resource, created) => {
      state.exists = true;
      return take(created.data as Patch);
    },
  };
  const book = createVerdictBook({ store, api, clock, log: createLog({ level: "silent" }) });
  /** The watch catches up with what was written. */
  const observe = () => store.set(key, object({ ...state.data }));
  return { book, clock, patches, state, observe, store, object };
}

describe("the book of verdicts", () => {
  test("a first report is written, and known before the watch tells", async () => {
    const { book, patches } = open({});
    book.note(node, passed);
    assert.equal(book.verdicts().get("a")?.modes.HostsToml?.passing, true);
    await book.settled();
    assert.deepEqual(Object.keys(patches[0] ?? {}), ["a"]);
  });
  test("the same again is not written, before and after the watch caught up", async () => {
    const { book, patches, observe } = open({});
    book.note(node, passed);
    await book.settled();
    book.note(node, passed);
    observe();
    book.note(node, passed);
    await book.settled();
    assert.equal(patches.length, 1);
  });
  test("a failing node is written three times and no more", async () => {
    const { book, clock, patches, observe } = open({});
    for (let look = 0; look < 8; look += 1) {
      book.note(node, failed);
      await book.settled();
      observe();
      await clock.advance(failureSpacingMs);
    }
    assert.equal(patches.length, 3);
    assert.equal(book.verdicts().get("a")?.modes.HostsToml?.failures, 3);
  });
  test("reports that come together are one write", async () => {
    const { book, patches } = open({});
    for (const name of ["a", "b", "c"]) book.note({ name, uid: name }, passed);
    await book.settled();
    assert.deepEqual(
      patches.map((patch) => Object.keys(patch)),
      [["a", "b", "c"]],
    );
  });
  test("what another replica wrote counts", async () => {
    const first = open({});
    first.book.note(node, passed);
    await first.book.settled();
    const second = open(first.state.data);
    assert.equal(second.book.verdicts().get("a")?.modes.HostsToml?.passing, true);
    second.book.note(node, passed);
    await second.book.settled();
    assert.deepEqual(second.patches, []);
  });
  test("a missing ConfigMap is made", async () => {
    const { book, state } = open();
    book.note(node, passed);
    await book.settled();
    assert.deepEqual(Object.keys(state.data), ["a"]);
  });
  test("a write that fails is done again with the next report", async () => {
    const { book, state, patches } = open({});
    state.fails = true;
    book.note(node, passed);
    await book.settled();
    assert.equal(book.verdicts().size, 0);
    state.fails = false;
    book.note(node, passed);
    await book.settled();
    assert.equal(patches.length, 1);
  });
  test("a value edited by hand is repaired by the next report", async () => {
    const { book, patches } = open({ a: "rubbish" });
    assert.equal(book.verdicts().size, 0);
    book.note(node, passed);
    await book.settled();
    assert.equal(patches.length, 1);
  });
  test("nodes that are gone are dropped, Auto's memory is not", async () => {
    const { book, state } = open({});
    book.note(node, passed);
    book.note({ name: "b", uid: "2" }, passed);
    book.rememberAuto({ ...noAutoState, mode: "HostsToml" });
    await book.settled();
    book.keepOnly(new Set(["b"]));
    await book.settled();
    assert.deepEqual(Object.keys(state.data).toSorted(), ["_auto", "b"]);
    assert.deepEqual([...book.verdicts().keys()], ["b"]);
    assert.equal(book.auto().mode, "HostsToml");
  });
  test("a verdict that was removed under it is gone", async () => {
    const { book, store, object, observe } = open({});
    book.note(node, passed);
    await book.settled();
    observe();
    store.set(key, object({}));
    assert.equal(book.verdicts().size, 0);
  });
});

describe("contract verdicts in the book", () => {
  const contract = {
    node: "a",
    uid: "1",
    looks: 1,
    last: "HostsToml",
    modes: { HostsToml: { outcome: "passed", reason: "", message: "", key: "k", atMs: 1, failures: 0 } },
  } as const;

  test("are apart from what agents report, so that neither overwrites the other", async () => {
    const { book, state } = open({});
    book.noteContract(contract);
    book.note(node, passed);
    await book.settled();
    assert.deepEqual(Object.keys(state.data).sort(), ["_contract.a", "a"]);
    assert.deepEqual(book.contracts().get("a"), contract);
    assert.deepEqual([...book.verdicts().keys()], ["a"]);
  });
  test("go with their node", async () => {
    const { book, state } = open({});
    book.noteContract(contract);
    book.keepOnly(new Set(["b"]));
    await book.settled();
    assert.deepEqual(state.data, {});
  });
});
