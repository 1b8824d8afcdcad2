import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { createBoundedCache } from "./bounded-cache.ts";

test("a value is remembered for its time", async () => {
  const clock = createManualClock();
  const cache = createBoundedCache<number>({ clock, maxEntries: 2 });
  cache.set("a", 1, 1_000);
  await clock.advance(999);
  assert.equal(cache.get("a"), 1);
  await clock.advance(1);
  assert.equal(cache.get("a"), undefined);
});

test("the oldest go first, and a value that is set again is new", () => {
  const cache = createBoundedCache<number>({ clock: createManualClock(), maxEntries: 2 });
  cache.set("a", 1, 1_000);
  cache.set("b", 2, 1_000);
  cache.set("a", 3, 1_000);
  cache.set("c", 4, 1_000);
  assert.deepEqual(
    ["a", "b", "c"].map((key) => cache.get(key)),
    [3, undefined, 4],
  );
});
