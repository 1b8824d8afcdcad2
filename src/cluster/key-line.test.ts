import assert from "node:assert/strict";
import test from "node:test";
import { createKeyLine } from "./key-line.ts";

test("keys come out in the order in which they came, each once", () => {
  const line = createKeyLine();
  for (const key of ["a", "b", "a", "c"]) line.add(key);
  line.delete("b");
  assert.deepEqual([line.size, line.has("a"), line.has("b")], [2, true, false]);
  assert.deepEqual([line.take(), line.take(), line.take()], ["a", "c", undefined]);
});

test("a line that ran empty goes on, and one that was taken may come again", () => {
  const line = createKeyLine();
  for (let round = 0; round < 3; round++) {
    assert.equal(line.take(), undefined);
    line.add("a");
    assert.equal(line.take(), "a");
    line.add("a");
    line.add("b");
    assert.equal(line.take(), "a");
    line.clear();
    assert.equal(line.take(), undefined);
  }
});

test("whatever is done to it, it answers as a list would", () => {
  const line = createKeyLine();
  let list: string[] = [];
  let state = 1;
  for (let step = 0; step < 20_000; step++) {
    state = (state * 48_271) % 2_147_483_647;
    const key = String(state % 50);
    if (state % 7 < 3) {
      line.add(key);
      if (!list.includes(key)) list.push(key);
    } else if (state % 7 === 3) {
      line.delete(key);
      list = list.filter((other) => other !== key);
    } else assert.equal(line.take(), list.shift());
    assert.equal(line.size, list.length);
  }
});
