import assert from "node:assert/strict";
import { test } from "node:test";
import { parseStreamEvent } from "./stream.ts";

test("a hello with fields of a later version is read", () => {
  const line = '{"type":"hello","protocol":2,"generations":[2,1,"x"],"readOnly":false,"later":{}}';
  assert.deepEqual(parseStreamEvent(line), { type: "hello", protocol: 2, generations: [2, 1], readOnly: false });
});

test("a type of a later version is passed over", () => {
  assert.equal(parseStreamEvent('{"type":"moved","repository":"a/b"}'), undefined);
});

test("a push by digest has no tag", () => {
  assert.deepEqual(parseStreamEvent('{"type":"pushed","repository":"a/b","tag":null,"digest":"sha256:a"}'), {
    type: "pushed",
    repository: "a/b",
    tag: null,
    digest: "sha256:a",
  });
});

for (const line of ["{", "null", "7", '{"type":"pushed","repository":"a/b"}', '{"type":"deleted","tag":"1"}']) {
  test(`no event: ${line}`, () => assert.throws(() => parseStreamEvent(line), { code: "STREAM_INVALID" }));
}
