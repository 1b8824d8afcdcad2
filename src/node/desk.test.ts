import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { createNodeDesk } from "./desk.ts";
import { type NodeFindings, type NodeOrders, type NodeReport, pollSeconds } from "./protocol.ts";

const node = { name: "a", uid: "1" };
const never = new AbortController().signal;
const report = (seen: string, findings: NodeFindings | null = null): NodeReport => ({
  protocol: 1,
  seen,
  agentVersion: "x",
  findings,
});
const ordersOf = (revision: string): NodeOrders => ({
  protocol: 1,
  revision,
  registry: null,
  modes: [],
  remove: [],
  lookCount: 0,
});

function open(first: string | undefined, limit = 10) {
  const clock = createManualClock();
  const noted: unknown[] = [];
  let revision = first;
  const desk = createNodeDesk({
    orders: () => (revision === undefined ? undefined : ordersOf(revision)),
    note: (who, findings) => noted.push([who.name, findings]),
    clock,
    limit,
  });
  const change = (next: string | undefined) => {
    revision = next;
    desk.wake();
  };
  return { clock, noted, desk, change };
}

describe("the desk of node agents", () => {
  test("an agent that acts on other orders is answered at once", async () => {
    const { desk } = open("two");
    assert.deepEqual(await desk.poll(node, report("one"), never), { kind: "orders", orders: ordersOf("two") });
  });
  test("an agent that acts on these orders waits until they change", async () => {
    const { desk, clock, change } = open("one");
    const answer = desk.poll(node, report("one"), never);
    await clock.whenSleeping();
    desk.wake();
    await clock.whenSleeping();
    change("two");
    assert.deepEqual(await answer, { kind: "orders", orders: ordersOf("two") });
    assert.equal(desk.waiting(), 0);
  });
  test("when nothing changes it is answered after fifty seconds with the same", async () => {
    const { desk, clock } = open("one");
    const answer = desk.poll(node, report("one"), never);
    await clock.whenSleeping();
    await clock.advance(pollSeconds * 1000);
    assert.deepEqual(await answer, { kind: "orders", orders: ordersOf("one") });
  });
  test("wakes in between do not make the wait longer", async () => {
    const { desk, clock } = open("one");
    const answer = desk.poll(node, report("one"), never);
    await clock.whenSleeping();
    await clock.advance(30_000);
    desk.wake();
    await clock.whenSleeping();
    await clock.advance(20_000);
    assert.equal((await answer).kind, "orders");
  });
  test("while orders are not known an agent waits for them", async () => {
    const { desk, clock, change } = open(undefined);
    const answer = desk.poll(node, report("one"), never);
    await clock.whenSleeping();
    change("one-again");
    assert.equal((await answer).kind, "orders");
    const second = desk.poll(node, report("x"), never);
    change(undefined);
    assert.equal((await second).kind, "orders");
  });
  test("when they never become known it is told so", async () => {
    const { desk, clock } = open(undefined);
    const answer = desk.poll(node, report(""), never);
    await clock.whenSleeping();
    await clock.advance(pollSeconds * 1000);
    assert.deepEqual(await answer, { kind: "unknown" });
  });
  test("findings are noted before anything is waited for, and null is none", async () => {
    const { desk, noted } = open("two");
    const findings = { modes: [], trustedCas: [] };
    await desk.poll(node, report("one", findings), never);
    await desk.poll(node, report("one"), never);
    assert.deepEqual(noted, [["a", findings]]);
  });
  test("a newer poll of the same node ends the older", async () => {
    const { desk, clock } = open("one");
    const older = desk.poll(node, report("one"), never);
    await clock.whenSleeping();
    const newer = desk.poll(node, report("one"), never);
    assert.equal((await older).kind, "orders");
    assert.equal(desk.waiting(), 1);
    await clock.whenSleeping();
    await clock.advance(pollSeconds * 1000);
    await newer;
  });
  test("an agent that went away waits no more", async () => {
    const { desk, clock } = open("one");
    const gone = new AbortController();
    const answer = desk.poll(node, report("one"), gone.signal);
    await clock.whenSleeping();
    gone.abort(new Error("gone"));
    await assert.rejects(answer, /gone/);
    assert.equal(desk.waiting(), 0);
  });
  test("more than the limit do not wait, but news are told all the same", async () => {
    const { desk, clock } = open("one", 1);
    const waiting = desk.poll(node, report("one"), never);
    await clock.whenSleeping();
    assert.deepEqual(await desk.poll({ name: "b", uid: "2" }, report("one"), never), { kind: "busy" });
    assert.equal((await desk.poll({ name: "b", uid: "2" }, report("old"), never)).kind, "orders");
    desk.drain();
    await waiting;
  });
  test("a replica that stops answers everyone, and lets nobody wait any more", async () => {
    const { desk, clock } = open("one");
    const waiting = desk.poll(node, report("one"), never);
    await clock.whenSleeping();
    desk.drain();
    assert.equal((await waiting).kind, "orders");
    assert.equal((await desk.poll(node, report("one"), never)).kind, "orders");
  });
});
