import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import test from "node:test";
import type { KeyRotation } from "../registry/key-rotation.ts";
import { createRotationProgress } from "./rotation-progress.ts";

const spreading: KeyRotation = {
  request: "a",
  phase: "spreading",
  generation: 2,
  synced: 1,
  total: 2,
  failing: [{ name: "team", reason: "PolicyDenied" }],
};

test("elsewhere than on a terminal each change is a line, and what cannot be written is named", () => {
  const output = new PassThrough();
  const progress = createRotationProgress(output);
  progress.show(spreading);
  progress.show(spreading);
  progress.show({ ...spreading, phase: "done", synced: 2, failing: [] });
  progress.end();
  assert.deepEqual(String(output.read()).split("\n"), [
    "generation 2: 1 of 2 namespaces; cannot be written: team (PolicyDenied)",
    "generation 2: 2 of 2 namespaces; the previous one is refused",
    "",
  ]);
});

test("on a terminal one bar is redrawn", () => {
  const output = Object.assign(new PassThrough(), { isTTY: true });
  const progress = createRotationProgress(output);
  progress.show(spreading);
  progress.end();
  const drawn = String(output.read());
  assert.ok(drawn.startsWith("\r\u001b[K[###############...............] generation 2: 1 of 2 namespaces;"), drawn);
  assert.ok(drawn.endsWith("\n"));
});
