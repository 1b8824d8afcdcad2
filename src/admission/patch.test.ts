import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { appendPullSecret, pointer, setAnnotation } from "./patch.ts";

test("a pointer escapes ~ first, then /", () => {
  assert.equal(pointer("metadata", "annotations", "a/b~1c", 0), "/metadata/annotations/a~1b~01c/0");
});

describe("parents come first", () => {
  const set = { op: "add", path: "/metadata/annotations/a~1b", value: "x" };
  const annotations = { op: "add", path: "/metadata/annotations", value: {} };
  const metadata = { op: "add", path: "/metadata", value: {} };
  const cases = [
    { name: "none missing", of: { annotations: {} }, want: [set] },
    { name: "no annotations", of: {}, want: [annotations, set] },
    { name: "null annotations", of: { annotations: null }, want: [annotations, set] },
    { name: "no metadata", of: undefined, want: [metadata, annotations, set] },
  ];
  for (const { name, of, want } of cases) test(name, () => assert.deepEqual(setAnnotation(of, "a/b", "x"), want));
  test("a list of pull Secrets", () => {
    const append = { op: "add", path: "/spec/imagePullSecrets/-", value: { name: "s" } };
    assert.deepEqual(appendPullSecret([], "s"), [append]);
    assert.deepEqual(appendPullSecret(undefined, "s"), [
      { op: "add", path: "/spec/imagePullSecrets", value: [] },
      append,
    ]);
  });
});

test("an annotation is removed only where it is", () => {
  assert.deepEqual(setAnnotation({ annotations: { a: "x" } }, "a", undefined), [
    { op: "remove", path: "/metadata/annotations/a" },
  ]);
  for (const metadata of [undefined, {}, { annotations: {} }, { annotations: null }]) {
    assert.deepEqual(setAnnotation(metadata, "constructor", undefined), []);
  }
});
