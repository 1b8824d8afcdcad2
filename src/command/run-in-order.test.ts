import assert from "node:assert/strict";
import { test } from "node:test";
import type { Component } from "../cluster/component.ts";
import { runInOrder } from "./run-in-order.ts";

function recorder() {
  const seen: string[] = [];
  const component = (name: string): Component => ({
    name,
    async run(stop) {
      seen.push(`${name} runs`);
      if (!stop.aborted) await new Promise((resolve) => stop.addEventListener("abort", resolve, { once: true }));
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(`${name} ended`);
    },
  });
  return { seen, component };
}

test("each phase has ended before the next is told to stop", async () => {
  const { seen, component } = recorder();
  const stop = new AbortController();
  const running = runInOrder(stop.signal, [
    { components: [component("lease")] },
    { components: [component("server")], beforeStop: () => void seen.push("not ready") },
    { components: [component("caches")] },
  ]);
  stop.abort();
  await running;
  assert.deepEqual(seen, [
    "lease runs",
    "server runs",
    "caches runs",
    "lease ended",
    "not ready",
    "server ended",
    "caches ended",
  ]);
});

test("a fault in one stops all in the same order, and is thrown at the end", async () => {
  const { seen, component } = recorder();
  const broken: Component = { name: "broken", run: () => Promise.reject(new Error("broken")) };
  const running = runInOrder(new AbortController().signal, [
    { components: [component("lease")] },
    { components: [broken] },
    { components: [component("caches")] },
  ]);
  await assert.rejects(running, { message: "broken" });
  assert.deepEqual(seen.slice(-2), ["lease ended", "caches ended"]);
});
