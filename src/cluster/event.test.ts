import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Registry } from "prom-client";
import { createManualClock } from "../../test/fake/clock.ts";
import { createLog } from "../log.ts";
import { ApiError, type ClusterApi } from "./api.ts";
import { type ClusterEvent, createEventRecorder } from "./event.ts";
import type { KubernetesObject } from "./object.ts";

const event: ClusterEvent = {
  regarding: { apiVersion: "v1", kind: "Secret", namespace: "a", name: "slipway-pull", uid: "u" },
  type: "Warning",
  reason: "SecretNotOurs",
  action: "ApplySecret",
  note: "Secret a/slipway-pull has no marker of ours and stays as it is",
};

function open(fault?: (verb: string) => ApiError | undefined) {
  const writes: { readonly verb: string; readonly object: Record<string, unknown> }[] = [];
  const write = async (verb: string, object: unknown): Promise<KubernetesObject> => {
    const error = fault?.(verb);
    if (error !== undefined) throw error;
    writes.push({ verb, object: object as Record<string, unknown> });
    return { metadata: { name: "e" } };
  };
  const api = {
    create: (_resource: unknown, object: unknown, { retry }: { retry?: boolean }) => {
      assert.equal(retry, true);
      return write("create", object);
    },
    merge: (_resource: unknown, _address: unknown, patch: unknown) => write("merge", patch),
  } as unknown as ClusterApi;
  const clock = createManualClock();
  const metrics = new Registry();
  const source = { reportingController: "slipway.dev/serve", reportingInstance: "serve-0" };
  const recorder = createEventRecorder({ api, ...source, clock, log: createLog({ level: "silent" }), metrics });
  const dropped = async (cause: string) => {
    const metric = await metrics.getSingleMetric("slipway_events_dropped_total")?.get();
    return metric?.values.find(({ labels }) => labels.cause === cause)?.value ?? 0;
  };
  return { recorder, writes, clock, dropped };
}

function first(writes: ReturnType<typeof open>["writes"]): KubernetesObject {
  const [write] = writes;
  assert.ok(write !== undefined);
  return write.object as KubernetesObject;
}

describe("an Event", () => {
  test("is complete, in the namespace of its object", async () => {
    const { recorder, writes } = open();
    recorder.record(event);
    await recorder.flush();
    const { metadata, ...rest } = first(writes);
    assert.equal(metadata.namespace, "a");
    assert.match(metadata.name, /^slipway-pull\.[0-9a-f]+$/);
    assert.deepEqual(rest, {
      eventTime: "2030-01-01T00:00:00.000000Z",
      reportingController: "slipway.dev/serve",
      reportingInstance: "serve-0",
      ...event,
    });
  });

  test("about a cluster-scoped object is in namespace default", async () => {
    const { recorder, writes } = open();
    recorder.record({ ...event, regarding: { apiVersion: "v1", kind: "Node", name: "Näme_1." } });
    await recorder.flush();
    const { metadata } = first(writes);
    assert.equal(metadata.namespace, "default");
    assert.match(metadata.name, /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/);
  });

  test("has a note of at most 1024 bytes without half characters", async () => {
    const { recorder, writes } = open();
    recorder.record({ ...event, note: `x${"😀".repeat(600)}` });
    await recorder.flush();
    const note = String(writes[0]?.object.note);
    assert.ok(Buffer.byteLength(note) <= 1_024 && Buffer.byteLength(note) > 1_000);
    assert.doesNotMatch(note, /\uFFFD/);
  });
});

describe("a repetition", () => {
  test("is counted, and written at most every 30 s", async () => {
    const { recorder, writes, clock } = open();
    for (let second = 0; second <= 60; second++) {
      recorder.record(event);
      await recorder.flush();
      await clock.advance(1_000);
    }
    assert.deepEqual(
      writes.map(({ verb, object }) => [verb, (object.series as { count: number } | undefined)?.count]),
      [
        ["create", undefined],
        ["merge", 31],
        ["merge", 61],
      ],
    );
  });

  test("after ten quiet minutes is an Event of its own", async () => {
    const { recorder, writes, clock } = open();
    recorder.record(event);
    await clock.advance(600_001);
    recorder.record(event);
    await recorder.flush();
    assert.deepEqual(
      writes.map(({ verb }) => verb),
      ["create", "create"],
    );
  });

  test("of an Event that has expired creates it anew, with its count", async () => {
    const gone = new ApiError({ status: 404, reason: "NotFound", message: "planted" });
    const { recorder, writes, clock } = open((verb) => (verb === "merge" ? gone : undefined));
    recorder.record(event);
    await clock.advance(40_000);
    recorder.record(event);
    await recorder.flush();
    assert.equal((writes[1]?.object.series as { count: number } | undefined)?.count, 2);
  });

  test("with another note is another Event", async () => {
    const { recorder, writes } = open();
    recorder.record(event);
    recorder.record({ ...event, note: "other" });
    await recorder.flush();
    assert.equal(writes.length, 2);
  });
});

describe("what is too much or fails", () => {
  test("beyond 25 different ones about one object is dropped and counted; another object has its own limit", async () => {
    const { recorder, writes, dropped, clock } = open();
    for (let index = 0; index < 30; index++) recorder.record({ ...event, note: String(index) });
    recorder.record({ ...event, regarding: { ...event.regarding, name: "other" } });
    await recorder.flush();
    assert.deepEqual([writes.length, await dropped("limit")], [26, 5]);
    await clock.advance(300_000);
    recorder.record({ ...event, note: "later" });
    await recorder.flush();
    assert.equal(writes.length, 27);
  });

  test("that was there already, since a repeated request had arrived, is written", async () => {
    const { recorder, dropped } = open(
      () => new ApiError({ status: 409, reason: "AlreadyExists", message: "planted" }),
    );
    recorder.record(event);
    await recorder.flush();
    assert.equal(await dropped("failed"), 0);
  });

  test("is counted and troubles nobody", async () => {
    const { recorder, dropped } = open(() => new ApiError({ status: 403, reason: "Forbidden", message: "planted" }));
    recorder.record(event);
    await recorder.flush();
    assert.equal(await dropped("failed"), 1);
  });

  test("an event that is none is counted and does not throw", async () => {
    const { recorder, dropped } = open();
    recorder.record({} as ClusterEvent);
    assert.equal(await dropped("failed"), 1);
  });
});
