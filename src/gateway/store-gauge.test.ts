import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Registry } from "prom-client";
import { createManualClock } from "../../test/fake/clock.ts";
import { createLog } from "../log.ts";
import { createStoreGauge } from "./store-gauge.ts";

/** A gauge that runs; `measurements` counts those that were begun. */
function start(t: TestContext, measure: (count: number, signal: AbortSignal) => Promise<number>) {
  const clock = createManualClock();
  const metrics = new Registry();
  const stop = new AbortController();
  const lines: string[] = [];
  const log = createLog({ level: "warn" }, { write: (line: string) => void lines.push(line) });
  let measurements = 0;
  const gauge = createStoreGauge({ measure: (signal) => measure(++measurements, signal), clock, log, metrics });
  const ended = gauge.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await ended;
  });
  const metric = async () => {
    const text = await metrics.metrics();
    return text.split("\n").filter((line) => line.startsWith("slipway_gateway_store_bytes"));
  };
  return { clock, gauge, lines, metric, stop, ended, measurements: () => measurements };
}

test("measured soon after the start, and every ten minutes", async (t) => {
  const { clock, gauge, metric, measurements } = start(t, async (count) => count * 100);
  assert.equal(gauge.bytes(), undefined);
  assert.deepEqual(await metric(), []);
  await clock.advance(10_000);
  assert.equal(gauge.bytes(), 100);
  assert.deepEqual(await metric(), ["slipway_gateway_store_bytes 100"]);
  await clock.advance(599_000);
  assert.equal(measurements(), 1);
  await clock.advance(1_000);
  assert.equal(gauge.bytes(), 200);
});

test("measured again when pushes have ended, and not while they go on", async (t) => {
  const { clock, gauge, measurements } = start(t, async (count) => count);
  await clock.advance(10_000);
  for (let count = 0; count < 12; count++) {
    gauge.touch();
    await clock.advance(10_000);
  }
  assert.equal(measurements(), 1);
  await clock.advance(60_000);
  assert.equal(measurements(), 2);
  await clock.advance(120_000);
  assert.equal(measurements(), 2);
});

test("pushes that never end do not put the ten minutes off", async (t) => {
  const { clock, gauge, measurements } = start(t, async (count) => count);
  for (let count = 0; count < 61; count++) {
    await clock.advance(10_000);
    gauge.touch();
  }
  assert.equal(measurements(), 2);
});

test("a failure makes it unknown, never 0, and is logged", async (t) => {
  const { clock, gauge, metric, lines } = start(t, async (count) => {
    if (count === 2) throw new Error("EIO: i/o error");
    return count;
  });
  await clock.advance(10_000);
  assert.equal(gauge.bytes(), 1);
  await clock.advance(600_000);
  assert.equal(gauge.bytes(), undefined);
  assert.deepEqual(await metric(), []);
  assert.match(lines.join(), /could not be measured.*EIO|EIO.*could not be measured/);
  await clock.advance(600_000);
  assert.equal(gauge.bytes(), 3);
});

test("one walk at a time, and a long one is followed by a longer rest", async (t) => {
  const walks: (() => void)[] = [];
  const { clock, gauge, measurements } = start(t, () => {
    const { promise, resolve } = Promise.withResolvers<number>();
    walks.push(() => resolve(1));
    return promise;
  });
  await clock.advance(10_000);
  gauge.touch();
  await clock.advance(1_000_000);
  assert.equal(measurements(), 1);
  walks[0]?.();
  await clock.advance(18_990_000);
  assert.equal(measurements(), 1);
  await clock.advance(60_000);
  assert.equal(measurements(), 2);
  walks[1]?.();
});

test("a stop ends a walk that is under way, without a word", async (t) => {
  const { clock, lines, stop, ended } = start(t, (_count, signal) => {
    const { promise, reject } = Promise.withResolvers<number>();
    signal.addEventListener("abort", () => reject(signal.reason));
    return promise;
  });
  await clock.advance(10_000);
  stop.abort();
  await ended;
  assert.deepEqual(lines, []);
});
