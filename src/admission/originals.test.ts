import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  always,
  imagesOf,
  mirroredNginx,
  mutateNew,
  mutateUpdate,
  originalsOf,
} from "../../test/fixtures/admission/mutation.ts";
import { pod, podOf } from "../../test/fixtures/admission/request.ts";

describe("the annotation", () => {
  const planted = { "slipway.dev/original-images": '{"containers":{"c0":"evil:1"}}', other: "x" };
  const annotated = (annotations: Record<string, string>, ...images: readonly string[]): unknown => {
    const { spec } = podOf(...images) as { spec: Record<string, unknown> };
    return pod({ annotations, spec });
  };
  test("a foreign one is removed", () => {
    const { after } = mutateNew({}, annotated(planted, "nginx:1"));
    assert.deepEqual(after.metadata?.annotations, { other: "x" });
  });
  test("a foreign one is replaced", () => {
    const { after } = mutateNew(always, annotated(planted, "nginx:1"));
    assert.deepEqual(originalsOf(after), { containers: { c0: "nginx:1" } });
  });
  test("an entry goes when its image is another by the second pass", () => {
    const first = mutateNew(always, podOf("nginx:1", "redis:7")).after;
    const other = structuredClone(first) as { spec: { containers: { image: string }[] } };
    Object.assign(other.spec.containers[0] ?? {}, { image: "localhost/other" });
    assert.deepEqual(originalsOf(mutateNew(always, other).after), { containers: { c1: "redis:7" } });
  });
  test("an entry of a name that two containers have stays on an update, also by a second pass", () => {
    const twice = (init: string | null, image: string): unknown => {
      const spec = { initContainers: [{ name: "a", image: init }], containers: [{ name: "a", image }] };
      return pod({ annotations: { "slipway.dev/original-images": '{"containers":{"a":"nginx:1"}}' }, spec });
    };
    const before = twice("redis:7", mirroredNginx);
    const first = mutateUpdate({}, { before, after: twice(null, "nginx:1") });
    assert.deepEqual(first.after, twice(null, mirroredNginx));
    assert.equal(mutateUpdate({}, { before, after: first.after }).decision.kind, "untouched");
  });
  test("a container called __proto__ has its entry", () => {
    const { after } = mutateNew(always, pod({ spec: { containers: [{ name: "__proto__", image: "nginx:1" }] } }));
    assert.equal(
      after.metadata?.annotations?.["slipway.dev/original-images"],
      '{"containers":{"__proto__":"nginx:1"}}',
    );
  });
  test("is not written when annotations would pass 256 KiB", () => {
    const { after, decision } = mutateNew(always, annotated({ big: "x".repeat(256 * 1024 - 60) }, "nginx:1"));
    assert.deepEqual(imagesOf(after), [mirroredNginx]);
    assert.deepEqual(Object.keys(after.metadata?.annotations ?? {}), ["big"]);
    assert.equal(decision.warnings.length, 1);
  });
  test("metadata and annotations are added when missing", () => {
    for (const metadata of [undefined, null, {}, { annotations: null }]) {
      const object = { metadata, spec: { containers: [{ name: "c", image: "nginx:1" }] } };
      assert.deepEqual(originalsOf(mutateNew(always, metadata === undefined ? { spec: object.spec } : object).after), {
        containers: { c: "nginx:1" },
      });
    }
  });
});
