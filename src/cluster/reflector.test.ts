import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { Registry } from "prom-client";
import { serveCollection } from "../../test/fake/api-collection.ts";
import { eventOf, startFakeApi, statusOf } from "../../test/fake/api-server.ts";
import { recordChanges } from "../../test/fake/change-log.ts";
import { createManualClock } from "../../test/fake/clock.ts";
import { createLog } from "../log.ts";
import { createTransport } from "./client.ts";
import { createReflector } from "./reflector.ts";
import { resources } from "./resource.ts";

const path = "/api/v1/namespaces/a/configmaps";
const list = `GET ${path}`;
const watch = `GET ${path}?watch`;

async function open(t: TestContext, random: () => number = () => 0) {
  const api = await startFakeApi();
  const collection = serveCollection(api, "a");
  const clock = createManualClock();
  const log = createLog({ level: "silent" });
  const metrics = new Registry();
  let activities = 0;
  const transport = createTransport({ kubeconfig: api.kubeconfig, clock, random, log });
  const reflector = createReflector({
    transport,
    resource: resources.configMaps,
    namespace: "a",
    project: (object) => object.data,
    clock,
    random,
    log,
    metrics,
    onActivity: () => activities++,
  });
  const changes = recordChanges(reflector);
  const end = new AbortController();
  const begin = () => {
    const running = reflector.run(end.signal);
    t.after(async () => {
      end.abort();
      await running;
      await transport.close();
      await api.close();
    });
  };
  /** Resolves when the first watch is open: its headers are the activity after that of the list. */
  const watching = () => waitFor(() => activities >= 2);
  return { api, collection, clock, reflector, changes, begin, watching, metrics, end };
}

/** The loop of events turns until the condition holds; the test's time limit ends a wait that is in vain. */
async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe("a watch", () => {
  test("asks for bookmarks and for an end after 300 to 600 seconds", async (t) => {
    for (const [chance, seconds] of [
      [0, "300"],
      [0.999999, "600"],
    ] as const) {
      const { api, begin } = await open(t, () => chance);
      begin();
      const { query } = await api.seen(watch);
      assert.equal(query.get("allowWatchBookmarks"), "true");
      assert.equal(query.get("timeoutSeconds"), seconds);
      assert.equal(query.get("resourceVersion"), "100");
    }
  });

  test("goes on from the version of a bookmark", async (t) => {
    const { api, begin, watching } = await open(t);
    begin();
    await watching();
    api.emit(path, eventOf("BOOKMARK", { metadata: { resourceVersion: "777" } }));
    api.endWatches(path, "close");
    const { query } = await api.seen(watch, 2);
    assert.equal(query.get("resourceVersion"), "777");
  });

  test("is opened again at once after a clean end", async (t) => {
    const { api, clock, begin, watching } = await open(t);
    begin();
    await watching();
    await clock.advance(2_000);
    api.endWatches(path, "close");
    await api.seen(watch, 2);
    assert.equal(api.count(list), 1);
  });

  test("is not opened again at once when the server ends it as soon as it begins", async (t) => {
    const { api, clock, begin } = await open(t);
    api.use({ on: watch, reply: { watch: [], end: "close" } });
    begin();
    await api.seen(watch, 1);
    await clock.whenSleeping(1, 500);
    assert.equal(api.count(watch), 1);
    await clock.advance(500);
    await api.seen(watch, 2);
  });

  test("that falls silent is given up after two and a half minutes, and nothing is lost", async (t) => {
    const { api, collection, clock, reflector, changes, begin, watching } = await open(t);
    api.use({ on: watch, times: 1, fault: "silence" });
    begin();
    await watching();
    collection.put("b", { k: "1" });
    await clock.advance(149_999);
    assert.equal(api.count(watch), 1);
    await clock.advance(1);
    await changes.next("a/b");
    assert.deepEqual(reflector.get("a/b"), { k: "1" });
    assert.equal(api.count(list), 1);
  });

  test("that only brings bookmarks is not given up", async (t) => {
    const { api, clock, reflector, begin, watching } = await open(t);
    begin();
    await watching();
    for (let minute = 1; minute <= 4; minute++) {
      await clock.advance(60_000);
      api.emit(path, eventOf("BOOKMARK", { metadata: { resourceVersion: `${100 + minute}` } }));
      await waitFor(() => reflector.lastActivityMs() === clock.monotonicMs());
    }
    assert.equal(api.count(watch), 1);
  });

  test("whose bytes come one after the other is read all the same", async (t) => {
    const { api, reflector, changes, begin } = await open(t);
    const object = { metadata: { name: "ü", namespace: "a", resourceVersion: "101" }, data: { k: "ä€😀" } };
    api.use({ on: watch, times: 1, fault: "slow", reply: { watch: [eventOf("ADDED", object)] } });
    begin();
    await changes.next("a/ü");
    assert.deepEqual(reflector.get("a/ü"), { k: "ä€😀" });
  });

  test("with a line that is no event leads to a new list", async (t) => {
    const { api, clock, begin } = await open(t);
    api.use({ on: watch, times: 1, reply: { watch: ["{]"] } });
    begin();
    await clock.whenSleeping(1, 500);
    await clock.advance(500);
    await api.seen(list, 2);
  });
});

describe("the regular list", () => {
  test("after ten minutes finds what the watch lost, and tells of that alone", async (t) => {
    const { api, collection, clock, reflector, changes, begin, watching } = await open(t, () => 0.5);
    collection.put("same", { k: "1" });
    collection.put("gone", { k: "1" });
    collection.put("changed", { k: "1" });
    // A watch that stays open and says nothing of what happens.
    api.use({ on: watch, reply: { watch: [] } });
    begin();
    await watching();
    changes.clear();
    collection.lose(() => {
      collection.remove("gone");
      collection.put("changed", { k: "2" });
      collection.put("new", { k: "1" });
    });
    for (let minute = 1; minute < 10; minute++) {
      await clock.advance(60_000);
      api.emit(path, eventOf("BOOKMARK", { metadata: { resourceVersion: "100" } }));
      await waitFor(() => reflector.lastActivityMs() === clock.monotonicMs());
    }
    assert.deepEqual(changes.keys, []);
    await clock.advance(60_000);
    await api.seen(list, 2);
    await changes.until(() => changes.keys.length === 3);
    assert.deepEqual([...changes.keys].sort(), ["a/changed", "a/gone", "a/new"]);
    assert.equal(reflector.get("a/gone"), undefined);
  });

  test("that fails does not keep from watching", async (t) => {
    const { api, collection, clock, reflector, changes, begin, watching } = await open(t, () => 0.5);
    begin();
    await watching();
    api.use({ on: list, times: 1, reply: statusOf(500) });
    for (let minute = 1; minute <= 10; minute++) {
      await clock.advance(60_000);
      api.emit(path, eventOf("BOOKMARK", { metadata: { resourceVersion: "100" } }));
      if (minute < 10) await waitFor(() => reflector.lastActivityMs() === clock.monotonicMs());
    }
    await api.seen(list, 2);
    await api.seen(watch, 2);
    collection.put("b", {});
    await changes.next("a/b");
  });
});

describe("the back-off", () => {
  test("grows from half a second to five (half of ten, the jitter being at its lowest), for ever", async (t) => {
    const { api, clock, begin } = await open(t);
    api.use({ on: list, reply: statusOf(500) });
    begin();
    for (const [index, pauseMs] of [500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000, 5_000].entries()) {
      await api.seen(list, index + 1);
      await clock.whenSleeping(1, pauseMs);
      await clock.advance(pauseMs - 1);
      assert.equal(api.count(list), index + 1);
      await clock.advance(1);
    }
    await api.seen(list, 9);
  });

  test("is never shorter than the Retry-After of the answer", async (t) => {
    const { api, clock, begin } = await open(t);
    api.use({ on: list, times: 1, reply: statusOf(429, { headers: { "retry-after": "20" } }) });
    begin();
    await api.seen(list);
    await clock.whenSleeping(1, 20_000);
    await clock.advance(19_999);
    assert.equal(api.count(list), 1);
    await clock.advance(1);
    await api.seen(list, 2);
  });

  test("ends with one word that the server is back, and none where it was never away", async (t) => {
    const { api, clock, reflector, begin, watching } = await open(t);
    const words: number[] = [];
    reflector.onRecovered(() => void words.push(api.count(list)));
    api.use({ on: list, times: 3, reply: statusOf(500) });
    begin();
    for (const pauseMs of [500, 1_000, 2_000]) {
      await clock.whenSleeping(1, pauseMs);
      assert.deepEqual(words, []);
      await clock.advance(pauseMs);
    }
    await watching();
    assert.deepEqual(words, [4]);
  });

  test("is ended by the stop", async (t) => {
    const { api, clock, begin, end } = await open(t);
    api.use({ on: list, reply: statusOf(500) });
    begin();
    await clock.whenSleeping(1, 500);
    end.abort();
  });
});

test("a projection that fails keeps what was known, is counted, and stops nothing", async (t) => {
  const api = await startFakeApi();
  const collection = serveCollection(api, "a");
  const clock = createManualClock();
  const log = createLog({ level: "silent" });
  const metrics = new Registry();
  const transport = createTransport({ kubeconfig: api.kubeconfig, clock, random: () => 0, log });
  const reflector = createReflector<string>({
    transport,
    resource: resources.configMaps,
    namespace: "a",
    project(object) {
      const { k } = object.data as { readonly k?: string };
      if (k === undefined) throw new Error("no k");
      return k;
    },
    clock,
    random: () => 0,
    log,
    metrics,
  });
  const changes = recordChanges(reflector);
  const end = new AbortController();
  const running = reflector.run(end.signal);
  t.after(async () => {
    end.abort();
    await running;
    await transport.close();
    await api.close();
  });
  collection.put("a", { k: "1" });
  await api.seen(watch);
  collection.put("a", {});
  collection.put("b", { k: "2" });
  await changes.next("a/b");
  assert.equal(reflector.get("a/a"), "1");
  const failures = await metrics.getSingleMetric("slipway_reflector_handler_failures_total")?.get();
  assert.equal(failures?.values[0]?.value, 1);
});

test("whenSynced rejects when its caller gives up", async (t) => {
  const { api, reflector, begin } = await open(t);
  api.use({ on: list, fault: "hang" });
  begin();
  const caller = new AbortController();
  const waiting = reflector.whenSynced(caller.signal);
  caller.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  assert.equal(reflector.hasSynced(), false);
});
