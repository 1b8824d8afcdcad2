import assert from "node:assert/strict";
import test from "node:test";
import { Registry } from "prom-client";
import { createManualClock } from "../../test/fake/clock.ts";
import { observedNamespace } from "../../test/fake/compiled.ts";
import type { ClusterApi, ListOptions } from "../cluster/api.ts";
import type { ClusterEvent } from "../cluster/event.ts";
import { createMemoryStore } from "../cluster/memory-store.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { createLog } from "../log.ts";
import type { ObservedNamespace } from "../namespace/observed.ts";
import { optInSelection } from "../namespace/selection.ts";
import { createStrandedReport } from "./stranded-report.ts";

/** A pod that waits for its image and names no pull Secret. */
const waiting = (namespace: string): KubernetesObject => ({
  metadata: { namespace, name: "web", uid: `uid-in-${namespace}` },
  status: { containerStatuses: [{ image: "a", state: { waiting: { reason: "ImagePullBackOff" } } }] },
});

async function open(t: test.TestContext, names: readonly string[]) {
  const namespaces = createMemoryStore<ObservedNamespace>(names.map((name) => [name, observedNamespace(name)]));
  const clock = createManualClock();
  const lists: ListOptions[] = [];
  const told: string[] = [];
  const api: Partial<ClusterApi> = {
    async list(_resource, options) {
      lists.push(options);
      return ["a", "b", "unserved"].map(waiting);
    },
  };
  const report = createStrandedReport({
    namespaces,
    selection: optInSelection,
    api: api as ClusterApi,
    events: {
      record: ({ regarding }: ClusterEvent) => void told.push(regarding.namespace ?? ""),
      flush: async () => {},
    },
    clock,
    random: () => 0.5,
    log: createLog({ level: "silent" }),
    metrics: new Registry(),
  });
  const stop = new AbortController();
  const running = report.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
  });
  return { namespaces, clock, report, lists: () => lists.splice(0), told: () => told.splice(0) };
}

const pending = { fieldSelector: "status.phase=Pending" };

test("at the beginning and every half hour all namespaces are looked at, in one list", async (t) => {
  const many = Array.from({ length: 1_000 }, (_, index) => `ns-${index}`);
  const { clock, lists, told } = await open(t, ["a", ...many]);
  await clock.advance(10_000);
  assert.deepEqual(lists(), [pending]);
  assert.deepEqual(told(), ["a"], "the pods of namespaces that are not served are nobody's business");
  await clock.advance(1_799_999);
  assert.deepEqual(lists(), []);
  await clock.advance(1);
  assert.deepEqual(lists(), [pending]);
});

test("namespaces that become served are looked at once, ten seconds after the first, in one list", async (t) => {
  const { namespaces, clock, report, lists, told } = await open(t, ["a"]);
  await clock.advance(10_000);
  lists();
  told();
  for (const name of ["b", "c", "d"]) {
    namespaces.set(name, observedNamespace(name));
    report.touch(name);
    await clock.advance(3_000);
  }
  report.touch("b");
  assert.deepEqual(lists(), []);
  await clock.advance(1_000);
  assert.deepEqual(lists(), [pending]);
  assert.deepEqual(told(), ["b"], "what was told of the others is not told again");
  report.touch("b");
  await clock.advance(60_000);
  assert.deepEqual(lists(), []);
});

test("a namespace that is served no longer by then is not reported", async (t) => {
  const { namespaces, clock, report, told } = await open(t, []);
  await clock.advance(10_000);
  namespaces.set("b", observedNamespace("b"));
  report.touch("b");
  namespaces.set("b", observedNamespace("b", { labels: {} }));
  report.touch("b");
  await clock.advance(60_000);
  assert.deepEqual(told(), []);
});
