import assert from "node:assert/strict";
import { test } from "node:test";
import { explainWriteFault } from "./write-fault.ts";

const body = (detail: unknown) => JSON.stringify({ errors: [{ code: "UNKNOWN", message: "unknown error", detail }] });

for (const detail of [
  "write /var/lib/registry/docker/registry/v2/repositories/a/_uploads/b/data: no space left on device",
  "filesystem: mkdir /var/lib/registry/docker: disk quota exceeded",
]) {
  test(`'${detail}' is 507, without the path`, () => {
    const fault = explainWriteFault(body(detail));
    assert.equal(fault?.status, 507);
    assert.doesNotMatch(JSON.stringify(fault), /var\/lib/);
  });
}

test("a layer with URLs is an invalid manifest", () => {
  const errors = [{ code: "UNKNOWN", message: "unknown error", detail: "invalid URL on layer" }];
  const fault = explainWriteFault(JSON.stringify({ errors }));
  assert.deepEqual([fault?.status, fault?.error.code], [400, "MANIFEST_INVALID"]);
});

test("another fault stays what it is", () => {
  for (const text of [body("permission denied"), body(null), "", "<html>"]) {
    assert.equal(explainWriteFault(text), undefined);
  }
});
