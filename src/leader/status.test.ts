import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ClusterApi } from "../cluster/api.ts";
import { ApiError } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { resources } from "../cluster/resource.ts";
import { createStatusWriter, dateConditions } from "./status.ts";

const fact = { type: "Ready", status: "True", reason: "Compiled", message: "fine" } as const;
const nowMs = Date.parse("2026-01-02T03:04:05.678Z");

describe("conditions", () => {
  test("keep their transition time while the status stays, whatever reason and message say", () => {
    const before = [{ ...fact, reason: "Other", lastTransitionTime: "2025-01-01T00:00:00Z" }];
    const [after] = dateConditions([fact], before, { now: "2026-01-01T00:00:00Z", generation: 3 });
    assert.deepEqual(after, { ...fact, observedGeneration: 3, lastTransitionTime: "2025-01-01T00:00:00Z" });
  });
  test("get a new transition time when the status changes", () => {
    const before = [{ ...fact, status: "False" as const, lastTransitionTime: "2025-01-01T00:00:00Z" }];
    const [after] = dateConditions([fact], before, { now: "2026-01-01T00:00:00Z", generation: undefined });
    assert.equal(after?.lastTransitionTime, "2026-01-01T00:00:00Z");
  });
});

describe("the status writer", () => {
  function writerWith(apply: ClusterApi["apply"]) {
    const clock = { nowMs: () => nowMs, monotonicMs: () => 0, sleep: async () => {} };
    return createStatusWriter({ api: { apply } as ClusterApi, clock });
  }
  const signal = new AbortController().signal;
  const observed: KubernetesObject = { metadata: { name: "default", generation: 2 } };
  const desired = { conditions: [fact], fields: { order: 1 } };

  test("writes to the status subresource, once: the same again is no write", async () => {
    const written: KubernetesObject[] = [];
    const writer = writerWith(async (_resource, object, options) => {
      assert.equal(options.subresource, "status");
      written.push(object);
      return object;
    });
    assert.equal(await writer.write(resources.imageRewrites, observed, desired, signal), true);
    const status = written[0]?.status;
    assert.deepEqual(status, {
      order: 1,
      observedGeneration: 2,
      conditions: [{ ...fact, observedGeneration: 2, lastTransitionTime: "2026-01-02T03:04:05Z" }],
    });
    assert.equal(await writer.write(resources.imageRewrites, { ...observed, status }, desired, signal), false);
    assert.equal(written.length, 1);
  });
  test("does not mind an object that is gone, and passes on everything else", async () => {
    const failing = (status: number) =>
      writerWith(async () => {
        throw new ApiError({ status, reason: "", message: "no" });
      });
    assert.equal(await failing(404).write(resources.imageRewrites, observed, desired, signal), false);
    await assert.rejects(failing(500).write(resources.imageRewrites, observed, desired, signal), { status: 500 });
  });
});
