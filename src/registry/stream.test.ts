import assert from "node:assert/strict";
import { test } from "node:test";
import { parseStreamEvent } from "./stream.ts";

test("a hello with fields of a later version is read", () => {
  const line = '{"type":"hello","protocol":2,"generations":[2,1,"x"],"readOnly":false,"later":{}}';
  assert.deepEqual(parseStreamEvent(line), { type: "hello", protocol: 2, generations: [2, 1], readOnly: false });
});

test("what the volume holds comes with hello and heartbeat, and only as a number of bytes", () => {
  const heartbeat = (bytesUsed: string) => parseStreamEvent(`{"type":"heartbeat","generations":[1]${bytesUsed}}`);
  assert.deepEqual(heartbeat(',"bytesUsed":7'), { type: "heartbeat", generations: [1], bytesUsed: 7 });
  for (const none of ["", ',"bytesUsed":null', ',"bytesUsed":-1', ',"bytesUsed":"7"', ',"bytesUsed":1.5']) {
    assert.deepEqual(heartbeat(none), { type: "heartbeat", generations: [1] }, none);
  }
  const hello = parseStreamEvent('{"type":"hello","protocol":1,"generations":[1],"readOnly":false,"bytesUsed":0}');
  assert.deepEqual(hello, { type: "hello", protocol: 1, generations: [1], readOnly: false, bytesUsed: 0 });
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
