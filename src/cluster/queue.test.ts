import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import fc from "fast-check";
import { Registry } from "prom-client";
import { createManualClock } from "../../test/fake/clock.ts";
import { createLog } from "../log.ts";
import { ApiError } from "./api.ts";
import { createQueue, type QueueNeeds, type WorkOutcome } from "./queue.ts";

const done: WorkOutcome = { kind: "done" };

function open(options: Pick<QueueNeeds, "work"> & Partial<QueueNeeds>) {
  const clock = createManualClock();
  const metrics = new Registry();
  const log = createLog({ level: "silent" });
  const queue = createQueue({ name: "test", workers: 1, clock, random: () => 0, log, metrics, ...options });
  const end = new AbortController();
  return { queue, clock, end, metrics };
}

function run(t: TestContext, { queue, end }: ReturnType<typeof open>): Promise<void> {
  const running = queue.run(end.signal);
  t.after(async () => {
    end.abort();
    await running;
  });
  return running;
}

/** Work that waits until it is let go, key by key. */
function gated() {
  const begun: string[] = [];
  const gates = new Map<string, (outcome: WorkOutcome) => void>();
  return {
    begun,
    work: (key: string) => {
      begun.push(key);
      const { promise, resolve } = Promise.withResolvers<WorkOutcome>();
      gates.set(key, resolve);
      return promise;
    },
    finish: (key: string, outcome: WorkOutcome = done) => gates.get(key)?.(outcome),
  };
}

describe("a queue", () => {
  test("runs a key once that was added three times before its turn", async (t) => {
    const gate = gated();
    const opened = open(gate);
    for (const key of ["a", "a", "b", "a"]) opened.queue.add(key);
    assert.equal(opened.queue.size(), 2);
    void run(t, opened);
    await opened.clock.advance(0);
    assert.deepEqual(gate.begun, ["a"]);
    gate.finish("a");
    await opened.clock.advance(0);
    assert.deepEqual(gate.begun, ["a", "b"]);
    gate.finish("b");
  });

  test("runs a key once more that was added while it ran", async (t) => {
    const gate = gated();
    const opened = open({ ...gate, workers: 4 });
    void run(t, opened);
    opened.queue.add("a");
    await opened.clock.advance(0);
    opened.queue.add("a");
    opened.queue.add("a");
    await opened.clock.advance(0);
    assert.deepEqual(gate.begun, ["a"]);
    gate.finish("a");
    await opened.clock.advance(0);
    assert.deepEqual(gate.begun, ["a", "a"]);
    gate.finish("a");
    await opened.clock.advance(0);
    assert.deepEqual([gate.begun.length, opened.queue.size()], [2, 0]);
  });

  test("takes urgent keys first, also one that waited already", async (t) => {
    const gate = gated();
    const opened = open(gate);
    for (const key of ["a", "b", "c"]) opened.queue.add(key);
    opened.queue.add("c", { urgent: true });
    opened.queue.add("d", { urgent: true });
    opened.queue.add("c");
    void run(t, opened);
    for (const key of ["c", "d", "a", "b"]) {
      await opened.clock.advance(0);
      gate.finish(key);
    }
    assert.deepEqual(gate.begun, ["c", "d", "a", "b"]);
  });

  test("works on as many keys at once as it has workers", async (t) => {
    const gate = gated();
    const opened = open({ ...gate, workers: 2 });
    void run(t, opened);
    for (const key of ["a", "b", "c"]) opened.queue.add(key);
    await opened.clock.advance(0);
    assert.deepEqual(gate.begun, ["a", "b"]);
    for (const key of ["a", "b"]) gate.finish(key);
    await opened.clock.advance(0);
    gate.finish("c");
    assert.deepEqual(gate.begun, ["a", "b", "c"]);
  });

  test("runs a key again after the time that its work asked for", async (t) => {
    let runs = 0;
    const opened = open({ work: async () => (++runs === 1 ? { kind: "again", afterMs: 60_000 } : done) });
    void run(t, opened);
    opened.queue.add("a");
    await opened.clock.advance(59_999);
    assert.equal(runs, 1);
    await opened.clock.advance(1);
    assert.equal(runs, 2);
  });

  test("keeps the earlier of two delays, and runs once for both", async (t) => {
    let runs = 0;
    const opened = open({
      work: async () => {
        runs++;
        return done;
      },
    });
    opened.queue.addAfter("a", 10_000);
    void run(t, opened);
    await opened.clock.advance(0);
    opened.queue.addAfter("a", 1_000);
    opened.queue.addAfter("a", 5_000);
    await opened.clock.advance(999);
    assert.equal(runs, 0);
    await opened.clock.advance(60_000);
    assert.equal(runs, 1);
  });

  test("backs off per key from 5 ms to 5 min and holds back no other", async (t) => {
    const failedAtMs: number[] = [];
    let others = 0;
    const opened = open({
      work: async (key) => {
        if (key === "good") others++;
        if (key === "good") return done;
        failedAtMs.push(opened.clock.monotonicMs());
        throw new Error("planted");
      },
    });
    void run(t, opened);
    opened.queue.add("bad");
    await opened.clock.advance(3_600_000);
    opened.queue.add("good");
    await opened.clock.advance(0);
    const pauses = failedAtMs.slice(1).map((atMs, index) => atMs - (failedAtMs[index] ?? 0));
    assert.deepEqual(pauses.slice(0, 4), [5, 10, 20, 40]);
    assert.equal(pauses.at(-1), 150_000, "half of five minutes, the jitter being at its lowest");
    assert.equal(others, 1);
  });

  for (const status of [0, 429, 500, 503]) {
    test(`comes back within ten seconds where the API server is in trouble: ${status}`, async (t) => {
      const atMs: number[] = [];
      const opened = open({
        random: () => 1,
        work: async () => {
          atMs.push(opened.clock.monotonicMs());
          throw new ApiError({ status, reason: "", message: "planted" });
        },
      });
      void run(t, opened);
      opened.queue.add("a");
      await opened.clock.advance(3_600_000);
      assert.equal((atMs.at(-1) ?? 0) - (atMs.at(-2) ?? 0), 10_020);
    });
  }

  test("asks an API server in trouble no more than a hundred times a second, however many keys fail", async (t) => {
    let runs = 0;
    const opened = open({
      workers: 20,
      work: async () => {
        runs++;
        throw new ApiError({ status: 500, reason: "", message: "planted" });
      },
    });
    void run(t, opened);
    for (let key = 0; key < 5_000; key++) opened.queue.add(`key-${key}`);
    await opened.clock.advance(600_000);
    runs = 0;
    await opened.clock.advance(600_000);
    assert.ok(runs > 0 && runs <= 600 * 100, `${runs} in ten minutes`);
  });

  test("starts the back-off anew after a success", async (t) => {
    const outcomes = [false, false, true, false, true];
    const atMs: number[] = [];
    const opened = open({
      work: async () => {
        atMs.push(opened.clock.monotonicMs());
        if (outcomes[atMs.length - 1] === true) return { kind: "again", afterMs: 100 };
        throw new Error("planted");
      },
    });
    void run(t, opened);
    opened.queue.add("a");
    await opened.clock.advance(130);
    assert.deepEqual(atMs.map((at) => at - 1_000).slice(0, 5), [0, 5, 15, 115, 120]);
  });

  test("does not come back before Retry-After", async (t) => {
    let runs = 0;
    const opened = open({
      work: async () => {
        if (++runs > 1) return done;
        throw new ApiError({ status: 429, reason: "TooManyRequests", message: "planted", retryAfterMs: 7_000 });
      },
    });
    void run(t, opened);
    opened.queue.add("a");
    await opened.clock.advance(6_999);
    assert.equal(runs, 1);
    await opened.clock.advance(1);
    assert.equal(runs, 2);
  });

  test("drains at the stop: running work gets the signal and is awaited, the rest is dropped", async (t) => {
    const ended: string[] = [];
    const opened = open({
      work: async (key, signal) => {
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        ended.push(key);
        throw signal.reason;
      },
    });
    const running = run(t, opened);
    opened.queue.add("a");
    opened.queue.add("b");
    opened.queue.addAfter("c", 1);
    await opened.clock.advance(0);
    opened.queue.add("a");
    opened.end.abort();
    await running;
    assert.deepEqual([ended, opened.queue.size()], [["a"], 0]);
  });

  test("may run again after it has ended, with what was added meanwhile", async (t) => {
    const runs: string[] = [];
    const opened = open({
      work: async (key) => {
        runs.push(key);
        return done;
      },
    });
    opened.end.abort();
    await opened.queue.run(opened.end.signal);
    opened.queue.add("a");
    assert.deepEqual(runs, []);
    void run(t, { ...opened, end: new AbortController() });
    await opened.clock.advance(0);
    assert.deepEqual(runs, ["a"]);
  });

  test("counts failures and what waits", async (t) => {
    const opened = open({ work: () => Promise.reject(new Error("planted")) });
    opened.queue.add("a");
    const depth = async () => (await opened.metrics.getSingleMetric("slipway_queue_depth")?.get())?.values[0]?.value;
    assert.equal(await depth(), 1);
    void run(t, opened);
    await opened.clock.advance(0);
    assert.equal(await depth(), 0);
    const failures = await opened.metrics.getSingleMetric("slipway_queue_failures_total")?.get();
    assert.equal(failures?.values[0]?.value, 1);
  });

  test("never runs a key twice at once and loses none, whatever the order of events", async () => {
    const step = fc.record({ key: fc.constantFrom("a", "b", "c"), urgent: fc.boolean(), waitMs: fc.nat(20) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 4 }), async (steps, workers) => {
        const atWork = new Set<string>();
        const lastBegun = new Map<string, number>();
        const lastAdded = new Map<string, number>();
        let turn = 0;
        const { queue, clock, end } = open({
          workers,
          work: async (key, signal) => {
            assert.ok(!atWork.has(key), `${key} runs twice`);
            atWork.add(key);
            lastBegun.set(key, ++turn);
            await clock.sleep(7, signal).finally(() => atWork.delete(key));
            if (turn % 3 === 0) throw new Error("planted");
            return done;
          },
        });
        const running = queue.run(end.signal);
        for (const { key, urgent, waitMs } of steps) {
          lastAdded.set(key, ++turn);
          queue.add(key, { urgent });
          await clock.advance(waitMs);
        }
        await clock.advance(10_000);
        for (const [key, added] of lastAdded) assert.ok((lastBegun.get(key) ?? 0) > added, `${key} was lost`);
        end.abort();
        await running;
      }),
      { numRuns: 50 },
    );
  });
});
