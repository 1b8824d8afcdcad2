import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { createNodeDesk } from "./desk.ts";
import { createOrderBook, type NodeShare } from "./order-book.ts";
import type { NodeOrders } from "./protocol.ts";

const runtime = { name: "containerd", version: "2.1.9" };

function open(first: string | undefined) {
  let revision = first;
  let composed = 0;
  const book = createOrderBook(({ runtime: of, lookCount }): NodeOrders | undefined => {
    composed += 1;
    if (revision === undefined) return undefined;
    return {
      protocol: 1,
      revision: `${revision}/${of?.version}/${lookCount}`,
      registry: null,
      modes: [],
      remove: [],
      lookCount,
    };
  });
  const change = (next: string) => {
    revision = next;
    book.forget();
  };
  return { book, change, composed: () => composed };
}

describe("the orders of all nodes", () => {
  test("are composed once for nodes of the same runtime", () => {
    const { book, composed } = open("a");
    const shares: readonly NodeShare[] = [
      { runtime, lookCount: 0 },
      { runtime: { ...runtime }, lookCount: 0 },
      { runtime: { ...runtime, version: "1.7.20" }, lookCount: 0 },
      { runtime: null, lookCount: 0 },
      { runtime, lookCount: 1 },
    ];
    const revisions = shares.map((share) => book.of(share)?.revision);
    assert.deepEqual(revisions, ["a/2.1.9/0", "a/2.1.9/0", "a/1.7.20/0", "a/undefined/0", "a/2.1.9/1"]);
    assert.equal(composed(), 4);
  });

  test("are composed anew after a change", () => {
    const { book, change } = open("a");
    book.of({ runtime, lookCount: 0 });
    change("b");
    assert.equal(book.of({ runtime, lookCount: 0 })?.revision, "b/2.1.9/0");
  });

  test("are asked for again while they are not known", () => {
    const { book, composed } = open(undefined);
    assert.equal(book.of({ runtime, lookCount: 0 }), undefined);
    assert.equal(book.of({ runtime, lookCount: 0 }), undefined);
    assert.equal(composed(), 2);
  });

  test("cost thousands of waiting agents one composition for each change", async () => {
    const { book, change, composed } = open("a");
    const clock = createManualClock();
    const desk = createNodeDesk({
      orders: () => book.of({ runtime, lookCount: 0 }),
      note: () => {},
      clock,
      limit: 5_000,
    });
    const report = { protocol: 1, seen: "a/2.1.9/0", agentVersion: "x", findings: null };
    const never = new AbortController().signal;
    const polls = Array.from({ length: 3_000 }, (_, index) => desk.poll({ name: `n${index}`, uid: "" }, report, never));
    await clock.whenSleeping();
    for (let wakes = 0; wakes < 100; wakes += 1) {
      change("a");
      desk.wake();
    }
    assert.equal(desk.waiting(), 3_000);
    assert.equal(composed(), 101);
    change("b");
    desk.wake();
    const answers = await Promise.all(polls);
    assert.ok(answers.every((answer) => answer.kind === "orders" && answer.orders.revision === "b/2.1.9/0"));
    assert.equal(composed(), 102);
  });
});
