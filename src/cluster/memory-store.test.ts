import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { recordChanges } from "../../test/fake/change-log.ts";
import { createMemoryStore } from "./memory-store.ts";

describe("a memory store", () => {
  test("tells of additions, changes and removals by key, after they are visible", () => {
    const store = createMemoryStore<number>([["a", 1]]);
    const seen: [string, number | undefined][] = [];
    store.onChange((key) => seen.push([key, store.get(key)]));
    store.set("b", 2);
    store.set("a", 3);
    store.delete("b");
    store.delete("never");
    assert.deepEqual(seen, [
      ["b", 2],
      ["a", 3],
      ["b", undefined],
    ]);
    assert.deepEqual(store.list(), [3]);
  });

  test("is synced when it is told so", () => {
    const store = createMemoryStore();
    assert.equal(store.hasSynced(), false);
    store.markSynced();
    assert.equal(store.hasSynced(), true);
  });

  test("shows the whole of a change to the first handler", () => {
    const store = createMemoryStore<number>([["old", 0]]);
    const lists: (readonly number[])[] = [];
    store.onChange(() => lists.push(store.list()));
    store.change(
      new Map([
        ["old", undefined],
        ["a", 1],
        ["b", 2],
      ]),
    );
    assert.deepEqual(lists, [
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
  });

  test("calls the other handlers when one throws", () => {
    const errors: unknown[] = [];
    const store = createMemoryStore<number>([], (error, key) => errors.push([error, key]));
    store.onChange(() => {
      throw "planted";
    });
    const changes = recordChanges(store);
    store.set("a", 1);
    assert.deepEqual([errors, changes.keys], [[["planted", "a"]], ["a"]]);
  });

  test("throws on what a handler throws when nobody asked for it", () => {
    const store = createMemoryStore<number>();
    store.onChange(() => {
      throw new Error("planted");
    });
    assert.throws(() => store.set("a", 1), /planted/);
  });
});
