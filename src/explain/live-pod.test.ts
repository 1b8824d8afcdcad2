import assert from "node:assert/strict";
import { test } from "node:test";
import { asSent } from "./live-pod.ts";

const annotated = (text: string) => ({
  metadata: { name: "a", annotations: { "slipway.dev/original-images": text } },
  spec: {
    containers: [
      { name: "one", image: "local/one" },
      { name: "two", image: "two" },
    ],
    volumes: [
      { name: "data", image: { reference: "local/data", pullPolicy: "Always" } },
      { name: "one", emptyDir: {} },
    ],
  },
});

test("references of before stand where the annotation names them", () => {
  const pod = annotated('{"containers":{"one":"nginx"},"volumes":{"data":"data:1","one":"x"}}');
  assert.deepEqual(asSent(pod).spec, {
    containers: [
      { name: "one", image: "nginx" },
      { name: "two", image: "two" },
    ],
    volumes: [
      { name: "data", image: { reference: "data:1", pullPolicy: "Always" } },
      { name: "one", emptyDir: {} },
    ],
  });
});

test("an annotation of any other form changes nothing", () => {
  for (const text of ["", "null", "[]", "{", '{"containers":7}', '{"containers":{"one":{"a":1}}}']) {
    const pod = annotated(text);
    assert.deepEqual(asSent(pod).spec, pod.spec, text);
  }
});
