import assert from "node:assert/strict";
import { test } from "node:test";
import { Registry } from "prom-client";
import { createLoopLag } from "./loop-lag.ts";

test("a loop that is more than a second late is not ready, until it is on time again", async () => {
  let nowMs = 0;
  const lates = [0, 1_500, 0];
  const found: (string | undefined)[] = [];
  const stop = new AbortController();
  const lag = createLoopLag({
    metrics: new Registry(),
    clock: {
      nowMs: () => nowMs,
      monotonicMs: () => nowMs,
      async sleep(durationMs) {
        found.push(lag.check());
        const late = lates.shift();
        if (late === undefined) stop.abort();
        nowMs += durationMs + (late ?? 0);
      },
    },
  });
  await lag.run(stop.signal);
  assert.deepEqual(found, [undefined, undefined, "the event loop is 1500 ms late", undefined]);
});
