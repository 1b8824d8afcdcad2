import assert from "node:assert/strict";
import test from "node:test";
import { Registry } from "prom-client";
import { compiledCredential, compiledState, observedNamespace } from "../../test/fake/compiled.ts";
import { createMemorySecrets } from "../../test/fake/secret-writer.ts";
import { ApiError } from "../cluster/api.ts";
import type { ClusterEvent } from "../cluster/event.ts";
import { createMemoryStore } from "../cluster/memory-store.ts";
import type { Compiled } from "../config/compiled.ts";
import { createLog } from "../log.ts";
import type { ObservedNamespace } from "./observed.ts";
import { createSyncProgress } from "./progress.ts";
import { optInSelection } from "./selection.ts";
import { createNamespaceSync } from "./sync.ts";

const signal = new AbortController().signal;

function open() {
  const secrets = createMemorySecrets();
  const namespaces = createMemoryStore<ObservedNamespace>();
  const events: ClusterEvent[] = [];
  const metrics = new Registry();
  let state: Compiled | undefined = compiledState();
  const compiled = () => state;
  const progress = createSyncProgress({ namespaces, compiled, selection: optInSelection, metrics });
  const sync = createNamespaceSync({
    namespaces,
    pullSecrets: secrets.store,
    pushSecrets: undefined,
    compiled,
    selection: optInSelection,
    writer: secrets.writer,
    progress,
    events: { record: (event) => events.push(event) },
    log: createLog({ level: "silent" }),
    metrics,
  });
  return {
    ...secrets,
    namespaces,
    events,
    progress,
    metrics,
    reconcile: (name: string) => sync.reconcile(name, signal),
    compile(next: Compiled | undefined) {
      state = next;
    },
    add(name: string, change: Partial<ObservedNamespace> = {}) {
      secrets.addNamespace(name);
      namespaces.set(name, observedNamespace(name, change));
    },
    countOf: (name: string) =>
      progress.statusOf("team")?.namespaces.failing?.find((entry) => entry.name === name)?.reason,
  };
}

const foreign = {
  namespace: "a",
  name: "slipway-pull",
  uid: "theirs",
  resourceVersion: "1",
  ours: false,
  deleting: false,
  revision: undefined,
  contentHash: undefined,
  namespaceUid: undefined,
  ownedDataKeys: [],
};

test("a namespace gets its Secret once, and no second look writes again", async () => {
  const { add, reconcile, calls, progress } = open();
  add("a");
  assert.deepEqual(await reconcile("a"), { kind: "done" });
  for (let look = 0; look < 10; look++) await reconcile("a");
  assert.deepEqual(calls, ["apply a"]);
  assert.equal(progress.statusOf("team")?.namespaces.summary, "1/1");
});

test("a revision that leaves the content as it is writes nothing and counts as synced", async () => {
  const { add, reconcile, calls, compile, progress } = open();
  add("a");
  await reconcile("a");
  compile(compiledState({ revision: 2 }));
  assert.equal(progress.statusOf("team")?.namespaces.summary, "0/1");
  await reconcile("a");
  assert.equal(progress.statusOf("team")?.namespaces.summary, "1/1");
  assert.deepEqual(calls, ["apply a"]);
});

test("a namespace that opted out loses its Secret", async () => {
  const { add, namespaces, reconcile, calls } = open();
  add("a");
  await reconcile("a");
  namespaces.set("a", observedNamespace("a", { labels: {} }));
  await reconcile("a");
  assert.deepEqual(calls, ["apply a", "remove a"]);
});

test("a Secret that is not ours is told once and never touched", async () => {
  const { add, place, reconcile, calls, events, countOf } = open();
  add("a");
  place(foreign);
  for (let look = 0; look < 3; look++) assert.deepEqual(await reconcile("a"), { kind: "done" });
  assert.deepEqual(calls, []);
  assert.deepEqual(
    events.map(({ reason, type, regarding }) => [reason, type, regarding.namespace, regarding.name, regarding.uid]),
    [["ForeignSecret", "Warning", "a", "slipway-pull", "theirs"]],
  );
  assert.equal(countOf("a"), "ForeignSecret");
});

test("it is told again after it had gone", async () => {
  const { add, place, store, reconcile, events } = open();
  add("a");
  place(foreign);
  await reconcile("a");
  store.delete("a/slipway-pull");
  await reconcile("a");
  place(foreign);
  await reconcile("a");
  assert.equal(events.length, 2);
});

const refusals = [
  {
    outcome: { kind: "forbidden", reason: "QuotaExceeded", message: "exceeded quota" },
    reason: "QuotaExceeded",
    retries: true,
  },
  { outcome: { kind: "forbidden", reason: "PolicyDenied", message: "denied" }, reason: "PolicyDenied", retries: true },
  { outcome: { kind: "conflict", message: "another" }, reason: "ForeignSecret", retries: true },
  {
    outcome: { kind: "unchangeable", cause: "type", uid: "u", resourceVersion: "1" },
    reason: "SecretTypeChanged",
    retries: false,
  },
] as const;
for (const { outcome, reason, retries } of refusals) {
  test(`a refusal is told and counted as failing: ${reason}`, async () => {
    const { add, failNext, reconcile, events, countOf } = open();
    add("a");
    failNext("a", outcome);
    assert.equal((await reconcile("a")).kind, retries ? "retry" : "done");
    assert.deepEqual(
      events.map((event) => event.reason),
      [reason],
    );
    assert.equal(countOf("a"), reason);
    await reconcile("a");
    assert.equal(countOf("a"), undefined);
  });
}

test("a Secret that changed meanwhile is looked at again", async () => {
  const { add, failNext, reconcile, events } = open();
  add("a");
  failNext("a", { kind: "stale" });
  assert.equal((await reconcile("a")).kind, "retry");
  assert.deepEqual(events, []);
});

test("a namespace that goes meanwhile is no failure", async () => {
  const { add, failNext, reconcile, events } = open();
  add("a");
  failNext("a", { kind: "gone" });
  assert.deepEqual(await reconcile("a"), { kind: "done" });
  assert.deepEqual(events, []);
});

test("what may pass by itself is thrown, so that the queue backs off, and counted", async () => {
  const { add, failNext, reconcile, countOf } = open();
  add("a");
  failNext("a", new ApiError({ status: 503, reason: "ServiceUnavailable", message: "later" }));
  await assert.rejects(reconcile("a"), ApiError);
  assert.equal(countOf("a"), "WriteFailed");
});

test("an immutable Secret is made anew", async () => {
  const { add, failNext, reconcile, compile, calls, store } = open();
  add("a");
  await reconcile("a");
  const { uid = "", resourceVersion = "" } = store.get("a/slipway-pull") ?? {};
  compile(compiledState({ revision: 2, credentials: [compiledCredential("team", { "registry.example.com": "new" })] }));
  failNext("a", { kind: "unchangeable", cause: "immutable", uid, resourceVersion });
  assert.deepEqual(await reconcile("a"), { kind: "done" });
  assert.deepEqual(calls, ["apply a", "apply a", "remove a", "apply a"]);
  assert.notEqual(store.get("a/slipway-pull")?.uid, uid);
});

test("what a Secret cannot hold leaves the one that is there", async () => {
  const { add, reconcile, compile, calls, countOf } = open();
  add("a");
  await reconcile("a");
  const credentials = [compiledCredential("team", { "registry.example.com": "p".repeat(1_100_000) })];
  compile(compiledState({ revision: 2, credentials }));
  await reconcile("a");
  assert.deepEqual(calls, ["apply a"]);
  assert.equal(countOf("a"), "SecretTooLarge");
});

test("before anything was compiled nothing is written, and nothing counted", async () => {
  const { add, reconcile, compile, calls, progress } = open();
  compile(undefined);
  add("a");
  await reconcile("a");
  assert.deepEqual(calls, []);
  assert.equal(progress.statusOf("team"), undefined);
});

test("a namespace that is gone is forgotten", async () => {
  const { add, namespaces, reconcile, failNext, countOf, calls } = open();
  add("a");
  failNext("a", { kind: "forbidden", reason: "QuotaExceeded", message: "exceeded quota" });
  await reconcile("a");
  namespaces.delete("a");
  assert.deepEqual(await reconcile("a"), { kind: "done" });
  assert.equal(countOf("a"), undefined);
  assert.deepEqual(calls, ["apply a"]);
});

test("no metric, Event or result ever holds a password", async () => {
  const { add, reconcile, place, events, metrics, compile } = open();
  compile(compiledState({ credentials: [compiledCredential("team", { "registry.example.com": "hunter2" })] }));
  add("a");
  add("b");
  place(foreign);
  const results = [await reconcile("a"), await reconcile("b")];
  assert.doesNotMatch(JSON.stringify([results, events]) + (await metrics.metrics()), /hunter2/);
});
