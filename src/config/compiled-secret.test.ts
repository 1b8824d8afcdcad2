import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Compiled } from "./compiled.ts";
import { canonicalJson, compiledSecret, readCompiled, sameContent } from "./compiled-secret.ts";

const compiled: Compiled = { revision: 3, registry: null, credentials: [], rewrites: [] };

describe("the compiled Secret", () => {
  test("gives back what was put in", () => assert.deepEqual(readCompiled(compiledSecret(compiled)), compiled));
  const unreadable = [
    { name: "an absent Secret", secret: undefined },
    { name: "a Secret without the key", secret: { metadata: { name: "s" }, data: {} } },
    { name: "a key that is no JSON", secret: { metadata: { name: "s" }, data: { "compiled.json": "bm8=" } } },
    { name: "JSON of another shape", secret: { metadata: { name: "s" }, data: { "compiled.json": "e30=" } } },
  ] as const;
  for (const { name, secret } of unreadable) {
    test(`${name} reads as nothing`, () => assert.equal(readCompiled(secret), undefined));
  }
});

test("the revision is no content", () => {
  assert.equal(sameContent(compiled, { ...compiled, revision: 9 }), true);
  assert.equal(
    sameContent(compiled, { ...compiled, rewrites: [{ name: "a", spec: { rules: [] }, inactive: [] }] }),
    false,
  );
  assert.equal(sameContent(undefined, compiled), false);
});

test("canonical JSON does not depend on the order of keys and reads as the same value", () => {
  const values = fc.dictionary(fc.string(), fc.jsonValue());
  fc.assert(
    fc.property(values, (value) => {
      const reversed = Object.fromEntries(Object.entries(value).reverse());
      assert.equal(canonicalJson(reversed), canonicalJson(value));
      assert.deepEqual(JSON.parse(canonicalJson(value)), JSON.parse(JSON.stringify(value)));
    }),
  );
});
