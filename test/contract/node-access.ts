import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Strategy, StrategyOrder } from "../../src/node/strategy.ts";

export type NodeAccessHarness = {
  readonly strategy: Strategy;
  /** Orders with which the mode passes on this node, and another ones, as after a change of address or CA. */
  readonly orders: readonly [StrategyOrder, StrategyOrder];
  /** All that the strategy could leave on the node: files with content, listeners. */
  snapshot(): Promise<unknown>;
};

/**
 * What every strategy of node access holds to.
 *
 * @param passes false for a mode that never gives access
 */
export function nodeAccessContract(
  name: string,
  open: (t: TestContext) => Promise<NodeAccessHarness>,
  passes = true,
): void {
  const { signal } = new AbortController();

  describe(`${name} is a way of node access`, () => {
    test("without an order it does not pass and touches nothing", async (t) => {
      const { strategy, snapshot } = await open(t);
      const before = await snapshot();
      const { finding } = await strategy.check(signal);
      assert.equal(finding.mode, strategy.mode);
      assert.equal(finding.passed, false);
      assert.deepEqual(await snapshot(), before);
    });

    test("an order that can be met passes", async (t) => {
      const { strategy, orders } = await open(t);
      await strategy.apply(orders[0], signal);
      const { finding } = await strategy.check(signal);
      assert.equal(finding.passed, passes, finding.message);
    });

    test("a finding has one stable word and a sentence", async (t) => {
      const { strategy, orders } = await open(t);
      await strategy.apply(orders[0], signal);
      const { finding } = await strategy.check(signal);
      assert.match(finding.reason, /^[A-Z][A-Za-z]+$/);
      assert.ok(finding.message.length > 10);
    });

    test("the same order twice changes nothing", async (t) => {
      const { strategy, orders, snapshot } = await open(t);
      await strategy.apply(orders[0], signal);
      const after = await snapshot();
      await strategy.apply(orders[0], signal);
      await strategy.check(signal);
      assert.deepEqual(await snapshot(), after);
    });

    test("a changed order is followed", async (t) => {
      const { strategy, orders } = await open(t);
      await strategy.apply(orders[0], signal);
      await strategy.apply(orders[1], signal);
      const { finding } = await strategy.check(signal);
      assert.equal(finding.passed, passes, finding.message);
    });

    test("CAs are told where they are used", async (t) => {
      const { strategy, orders } = await open(t);
      await strategy.apply(orders[0], signal);
      const { trustedCas, usesCa } = await strategy.check(signal);
      assert.equal(trustedCas.length > 0, usesCa);
      for (const fingerprint of trustedCas) assert.match(fingerprint, /^[0-9a-f]{64}$/);
    });

    test("removal leaves the node as it was found", async (t) => {
      const { strategy, orders, snapshot } = await open(t);
      const before = await snapshot();
      for (const order of orders) await strategy.apply(order, signal);
      assert.deepEqual(await strategy.remove(signal), { kind: "removed" });
      assert.deepEqual(await snapshot(), before);
    });

    test("removal twice, or of nothing, is removal", async (t) => {
      const { strategy } = await open(t);
      assert.deepEqual(await strategy.remove(signal), { kind: "removed" });
      assert.deepEqual(await strategy.remove(signal), { kind: "removed" });
    });

    test("it can be ordered again after removal", async (t) => {
      const { strategy, orders } = await open(t);
      await strategy.apply(orders[0], signal);
      await strategy.remove(signal);
      await strategy.apply(orders[0], signal);
      assert.equal((await strategy.check(signal)).finding.passed, passes);
    });

    test("a stop of the process leaves the node's files", async (t) => {
      const { strategy, orders, snapshot } = await open(t);
      await strategy.apply(orders[0], signal);
      const files = filesOf(await snapshot());
      await strategy.close?.();
      assert.deepEqual(filesOf(await snapshot()), files);
    });
  });
}

function filesOf(snapshot: unknown): unknown {
  return typeof snapshot === "object" && snapshot !== null && "files" in snapshot ? snapshot.files : snapshot;
}
