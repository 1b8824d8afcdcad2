import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { createLog } from "../log.ts";
import { checkEveryMs, createNodeAgent } from "./agent.ts";
import type { NodeFindings, NodeReport } from "./protocol.ts";
import type { PollOutcome } from "./serve-client.ts";
import type { CheckedOrders } from "./validate-orders.ts";

const found = (passed: boolean, reason = passed ? "Passed" : "Unreachable"): NodeFindings => ({
  modes: [{ mode: "HostsToml", passed, reason, message: "" }],
  trustedCas: [],
});
const orders = (revision: string): PollOutcome => ({
  kind: "orders",
  checked: {
    orders: { protocol: 1, revision, registry: null, modes: ["HostsToml"], remove: [], lookCount: 0 },
    refused: [],
  },
});

/** Waits, turn by turn, for something that happens without a clock. */
async function until(holds: () => boolean): Promise<void> {
  for (let turns = 0; turns < 1_000; turns += 1) {
    if (holds()) return;
    await new Promise(setImmediate);
  }
  assert.fail("it did not happen");
}

function start(t: TestContext, look: () => NodeFindings) {
  const clock = createManualClock();
  const polls: {
    readonly report: NodeReport;
    readonly answer: (outcome: PollOutcome) => void;
    readonly fail: (error: unknown) => void;
    readonly signal: AbortSignal;
  }[] = [];
  const rounds: CheckedOrders[] = [];
  const agent = createNodeAgent({
    round: {
      run: async (checked) => {
        rounds.push(checked);
        return look();
      },
    },
    serve: {
      poll(report, signal) {
        const { promise, resolve, reject } = Promise.withResolvers<PollOutcome>();
        signal.addEventListener("abort", () => reject(signal.reason));
        polls.push({ report, answer: resolve, fail: reject, signal });
        return promise;
      },
    },
    clock,
    random: () => 1,
    log: createLog({ level: "silent" }),
  });
  const stop = new AbortController();
  const ended = agent.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await ended;
  });
  const poll = async (number: number) => {
    await until(() => polls.length >= number);
    return polls[number - 1] ?? assert.fail();
  };
  return { clock, polls, rounds, agent, stop, ended, poll };
}

describe("the node agent", () => {
  test("asks for orders, carries them out and tells at once what it found", async (t) => {
    const { poll, rounds, agent } = start(t, () => found(true));
    const first = await poll(1);
    assert.deepEqual([first.report.seen, first.report.findings], ["", null]);
    assert.equal(agent.ready(), false);
    first.answer(orders("one"));
    await until(() => rounds.length === 1);
    await until(() => agent.ready());
  });
  test("waits for the next orders with what it found", async (t) => {
    const { clock, poll, polls } = start(t, () => found(true));
    (await poll(1)).answer(orders("one"));
    await clock.whenSleeping(2);
    await clock.advance(300);
    await until(() => polls.some(({ report }) => report.findings !== null && report.seen === "one"));
  });
  test("looks again every minute while all is well", async (t) => {
    const { clock, poll, rounds } = start(t, () => found(true));
    (await poll(1)).answer(orders("one"));
    await until(() => rounds.length === 1);
    await clock.advance(checkEveryMs);
    await until(() => rounds.length === 2);
    await clock.advance(checkEveryMs - 1);
    assert.equal(rounds.length, 2);
    await clock.advance(1);
    await until(() => rounds.length === 3);
  });
  test("looks again soon while it fails, and tells each time", async (t) => {
    const { clock, poll, rounds, polls } = start(t, () => found(false));
    (await poll(1)).answer(orders("one"));
    await until(() => rounds.length === 1);
    for (const waitMs of [1_000, 2_000, 4_000, 8_000, 15_000, 15_000]) {
      const before = { rounds: rounds.length, polls: polls.length };
      await clock.advance(waitMs);
      await until(() => rounds.length > before.rounds && polls.length > before.polls);
    }
    assert.equal(rounds.length, 7);
  });
  test("new orders are carried out at once", async (t) => {
    const { clock, poll, polls, rounds } = start(t, () => found(true));
    (await poll(1)).answer(orders("one"));
    await until(() => rounds.length === 1);
    await clock.advance(1_000);
    await until(() => polls.at(-1)?.report.findings !== null);
    polls.at(-1)?.answer(orders("two"));
    await until(() => rounds.length === 2);
    assert.equal(rounds[1]?.orders.revision, "two");
  });
  test("goes on with its last orders while serve is away", async (t) => {
    const { clock, poll, polls, rounds } = start(t, () => found(true));
    (await poll(1)).answer(orders("one"));
    await until(() => rounds.length === 1);
    await clock.advance(1_000);
    polls.at(-1)?.fail(Object.assign(new Error("refused"), { code: "ECONNREFUSED" }));
    await clock.advance(checkEveryMs);
    await until(() => rounds.length === 2);
    assert.equal(rounds[1]?.orders.revision, "one");
    await until(() => polls.at(-1)?.report.seen === "one" && !polls.at(-1)?.signal.aborted);
  });
  test("asks a serve that is away less and less often, at most every half minute", async (t) => {
    const { clock, poll, polls } = start(t, () => found(true));
    for (const waitMs of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      const count = polls.length;
      (await poll(Math.max(1, count))).fail(new Error("away"));
      await clock.whenSleeping();
      await clock.advance(waitMs - 1);
      assert.equal(polls.length, Math.max(1, count));
      await clock.advance(1);
      await until(() => polls.length > count);
    }
  });
  test("heeds Retry-After", async (t) => {
    const { clock, poll, polls } = start(t, () => found(true));
    (await poll(1)).answer({ kind: "refused", message: "busy", retryAfterMs: 10_000 });
    await clock.whenSleeping();
    await clock.advance(9_999);
    assert.equal(polls.length, 1);
    await clock.advance(1);
    await poll(2);
  });
  test("a replica that answers the same at once is not asked without end", async (t) => {
    const { clock, poll, polls } = start(t, () => found(true));
    (await poll(1)).answer(orders("one"));
    await clock.advance(300);
    await until(() => polls.at(-1)?.report.findings !== null);
    const count = polls.length;
    polls.at(-1)?.answer(orders("one"));
    await clock.whenSleeping(2);
    assert.equal(polls.length, count);
    await clock.advance(250);
    await until(() => polls.length === count + 1);
  });
  test("is alive as long as rounds end", async (t) => {
    const { clock, poll, rounds, agent } = start(t, () => found(true));
    assert.equal(agent.live(), true);
    (await poll(1)).answer(orders("one"));
    await until(() => rounds.length === 1);
    for (let minute = 0; minute < 10; minute += 1) await clock.advance(checkEveryMs);
    assert.equal(agent.live(), true);
  });
  test("ends when told, in the middle of a poll", async (t) => {
    const { poll, stop, ended } = start(t, () => found(true));
    await poll(1);
    stop.abort();
    await ended;
  });
});
