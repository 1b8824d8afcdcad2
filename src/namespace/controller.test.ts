import assert from "node:assert/strict";
import test from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { observedNamespace } from "../../test/fake/compiled.ts";
import { createMemorySecrets } from "../../test/fake/secret-writer.ts";
import { createMemoryStore } from "../cluster/memory-store.ts";
import type { WorkOutcome } from "../cluster/queue.ts";
import { createNamespaceController } from "./controller.ts";
import type { ObservedNamespace } from "./observed.ts";
import type { SyncOutcome } from "./sync.ts";

/** A controller over a queue that only writes down what it is asked for. */
function open(options: { readonly recent?: readonly string[] } = {}) {
  const namespaces = createMemoryStore<ObservedNamespace>(
    ["a", "b", "c"].map((name) => [name, observedNamespace(name)] as const),
  );
  const secrets = createMemorySecrets();
  const clock = createManualClock();
  const added: string[] = [];
  let compiledHandler = () => {};
  let recoveredHandler = () => {};
  let work: (key: string, signal: AbortSignal) => Promise<WorkOutcome> = () => Promise.reject(new Error("no queue"));
  let outcome: SyncOutcome = { kind: "done" };
  const controller = createNamespaceController({
    sync: { reconcile: async () => outcome },
    namespaces,
    pullSecrets: secrets.store,
    pushSecrets: undefined,
    onCompiled: (handler) => {
      compiledHandler = handler;
    },
    onRecovered: (handler) => {
      recoveredHandler = handler;
    },
    recent: () => options.recent ?? [],
    queue: (given) => {
      work = given;
      return {
        name: "queue",
        add: (key, how) => added.push(how?.urgent === true ? `${key}!` : key),
        addAfter: () => undefined,
        size: () => 0,
        run: (stop) => new Promise((resolve) => stop.addEventListener("abort", () => resolve(), { once: true })),
      };
    },
    resyncMs: 600_000,
    clock,
    random: () => 1,
  });
  return {
    controller,
    namespaces,
    secrets,
    clock,
    taken: () => added.splice(0),
    compile: () => compiledHandler(),
    recover: () => recoveredHandler(),
    work: () => work("a", new AbortController().signal),
    answer: (next: SyncOutcome) => {
      outcome = next;
    },
  };
}
function start(t: test.TestContext, opened: ReturnType<typeof open>): void {
  const stop = new AbortController();
  const running = opened.controller.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
  });
}

const orphan = {
  namespace: "z",
  name: "slipway-pull",
  uid: "u",
  resourceVersion: "1",
  ours: true,
  deleting: false,
  revision: 1,
  contentHash: "h",
  namespaceUid: "n",
  ownedDataKeys: [],
};

test("it begins with a look at every namespace, and at every Secret of our name", (t) => {
  const opened = open();
  opened.secrets.place(orphan);
  start(t, opened);
  assert.deepEqual(opened.taken(), ["a", "b", "c", "z"]);
});

test("namespaces with recent admissions go first, the latest before the others", (t) => {
  const opened = open({ recent: ["c", "gone", "b"] });
  start(t, opened);
  opened.taken();
  opened.compile();
  assert.deepEqual(opened.taken(), ["c!", "b!", "a"]);
});

test("a change of a namespace or of its Secret is a look at that namespace", (t) => {
  const opened = open();
  start(t, opened);
  opened.taken();
  opened.namespaces.set("b", observedNamespace("b", { labels: {} }));
  opened.secrets.place({ ...orphan, namespace: "c" });
  assert.deepEqual(opened.taken(), ["b", "c"]);
});

test("everything is looked at as soon as the API server is back", (t) => {
  const opened = open({ recent: ["b"] });
  start(t, opened);
  opened.taken();
  opened.recover();
  assert.deepEqual(opened.taken(), ["b!", "a", "c"]);
});

test("everything is looked at again after ten minutes", async (t) => {
  const opened = open();
  start(t, opened);
  opened.taken();
  await opened.clock.advance(599_999);
  assert.deepEqual(opened.taken(), []);
  await opened.clock.advance(1);
  assert.deepEqual(opened.taken(), ["a", "b", "c"]);
});

test("outside run it notes nothing: another replica leads", async () => {
  const opened = open();
  opened.compile();
  opened.namespaces.set("b", observedNamespace("b"));
  const stop = new AbortController();
  const running = opened.controller.run(stop.signal);
  opened.taken();
  stop.abort();
  await running;
  opened.compile();
  opened.namespaces.set("b", observedNamespace("b"));
  assert.deepEqual(opened.taken(), []);
});

test("a namespace that is refused is tried again ever later, at most every five minutes, and anew after a success", async () => {
  const opened = open();
  opened.answer({ kind: "retry", reason: "QuotaExceeded" });
  const pauses: number[] = [];
  for (let turn = 0; turn < 11; turn++) {
    const outcome = await opened.work();
    pauses.push(outcome.kind === "again" ? outcome.afterMs : -1);
  }
  assert.deepEqual(
    pauses,
    [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map((seconds) => seconds * 1000),
  );
  opened.answer({ kind: "done" });
  assert.deepEqual(await opened.work(), { kind: "done" });
  opened.answer({ kind: "retry", reason: "QuotaExceeded" });
  assert.deepEqual(await opened.work(), { kind: "again", afterMs: 1000 });
});
