import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createWarnings, warningLengthLimit, warningTotalLimit } from "./warning.ts";

test("warnings keep both limits and are printable, whatever is added", () =>
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary", maxLength: 600 }), { maxLength: 60 }), (texts) => {
      const warnings = createWarnings();
      for (const text of texts) warnings.add(text);
      const list = warnings.list();
      assert.ok(list.every((warning) => warning.length <= warningLengthLimit && /^[\x20-\x7e]*$/.test(warning)));
      assert.ok(list.reduce((sum, { length }) => sum + length, 0) <= warningTotalLimit);
      assert.ok(texts.length === 0 || list.length > 0);
    }),
  ));

test("the same sentence is given once", () => {
  const warnings = createWarnings();
  for (const text of ["a", "b", "a"]) warnings.add(text);
  assert.deepEqual(warnings.list(), ["slipway: a", "slipway: b"]);
});

test("what is left out is said once", () => {
  const warnings = createWarnings();
  for (let index = 0; index < 100; index++) warnings.add(`${index} ${"x".repeat(200)}`);
  assert.equal(warnings.list().filter((text) => text.includes("left out")).length, 1);
  assert.ok(warnings.list().at(-1)?.includes("left out"));
});
