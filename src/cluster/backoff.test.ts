import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { backoffMs, fullJitterMs } from "./backoff.ts";
import { DeadlineError, withDeadline } from "./deadline.ts";
import { formatMicroTime } from "./micro-time.ts";
import { createTokenBucket } from "./token-bucket.ts";

describe("the pause before another attempt", () => {
  const range = { minimumMs: 500, maximumMs: 30_000 };

  test("lies between half a step and a step, and the steps double up to the maximum", () => {
    assert.deepEqual(
      [1, 2, 3, 7, 100].map((failures) => backoffMs(failures, range, () => 0)),
      [500, 1_000, 2_000, 15_000, 15_000],
    );
    assert.deepEqual(
      [1, 7, 2_000].map((failures) => backoffMs(failures, range, () => 1)),
      [1_000, 30_000, 30_000],
    );
  });

  test("with full jitter lies between nothing and a step", () => {
    assert.deepEqual(
      [1, 3, 9].map((failures) => fullJitterMs(failures, range, () => 0)),
      [0, 0, 0],
    );
    assert.deepEqual(
      [1, 3, 9].map((failures) => fullJitterMs(failures, range, () => 1)),
      [500, 2_000, 30_000],
    );
  });
});

describe("a deadline", () => {
  test("aborts the work when the time is over", async () => {
    const clock = createManualClock();
    const hang = (signal: AbortSignal) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const task = assert.rejects(withDeadline(clock, 100, new AbortController().signal, hang), DeadlineError);
    await clock.advance(100);
    await task;
  });

  test("passes the parent's reason on, also one that was there before", async () => {
    const parent = AbortSignal.abort(new Error("enough"));
    const work = async (signal: AbortSignal) => signal.throwIfAborted();
    await assert.rejects(withDeadline(createManualClock(), 100, parent, work), /enough/);
  });

  test("leaves no timer behind", async () => {
    const clock = createManualClock();
    let signalLater: AbortSignal | undefined;
    await withDeadline(clock, 100, new AbortController().signal, async (signal) => {
      signalLater = signal;
    });
    await clock.advance(1_000);
    assert.equal(signalLater?.aborted, false);
  });
});

test("a token bucket gives its burst, then its rate", async () => {
  const clock = createManualClock();
  const bucket = createTokenBucket({ burst: 2, perSecond: 4 }, clock);
  assert.deepEqual([bucket.tryTake(), bucket.tryTake(), bucket.tryTake()], [true, true, false]);
  await clock.advance(250);
  assert.deepEqual([bucket.tryTake(), bucket.tryTake()], [true, false]);
  assert.deepEqual([bucket.reserve(), bucket.reserve()], [250, 500]);
});

test("a micro time has six digits", () => {
  assert.equal(formatMicroTime(Date.UTC(2030, 0, 2, 3, 4, 5, 6)), "2030-01-02T03:04:05.006000Z");
});
