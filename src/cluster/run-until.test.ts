import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SlipwayError } from "../errors.ts";
import type { Component } from "./component.ts";
import { runUntil } from "./run-until.ts";

function patient(name: string, ended: string[]): Component {
  return {
    name,
    async run(stop) {
      await new Promise((resolve) => stop.addEventListener("abort", resolve, { once: true }));
      ended.push(name);
    },
  };
}

describe("components that run together", () => {
  test("end together when they are told to", async () => {
    const ended: string[] = [];
    const stop = new AbortController();
    const running = runUntil(stop.signal, [patient("a", ended), patient("b", ended)]);
    stop.abort();
    await running;
    assert.deepEqual(ended, ["a", "b"]);
  });

  test("are all stopped by the first fault, which is thrown after they have ended", async () => {
    const ended: string[] = [];
    const faulty: Component = { name: "faulty", run: () => Promise.reject(new Error("planted")) };
    await assert.rejects(runUntil(new AbortController().signal, [patient("a", ended), faulty]), /planted/);
    assert.deepEqual(ended, ["a"]);
  });

  test("take one that just ends for a fault", async () => {
    const brief: Component = { name: "brief", run: async () => undefined };
    await assert.rejects(
      runUntil(new AbortController().signal, [brief, patient("a", [])]),
      (error) => error instanceof SlipwayError && error.code === "COMPONENT_ENDED",
    );
  });

  test("may end with an AbortError after the stop", async () => {
    const stop = new AbortController();
    const abrupt: Component = {
      name: "abrupt",
      run: (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    };
    const running = runUntil(stop.signal, [abrupt]);
    stop.abort();
    await running;
  });
});
