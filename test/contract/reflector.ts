import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { Registry } from "prom-client";
import { systemClock } from "../../src/clock.ts";
import type { ApiTransport } from "../../src/cluster/api.ts";
import type { KubernetesObject } from "../../src/cluster/object.ts";
import { createReflector, type Reflector, type ReflectorNeeds } from "../../src/cluster/reflector.ts";
import { resources } from "../../src/cluster/resource.ts";
import { createLog } from "../../src/log.ts";
import { eventOf, type FakeApi, statusOf } from "../fake/api-server.ts";
import { type ChangeLog, recordChanges } from "../fake/change-log.ts";

/** ConfigMaps in one namespace of an API server that can be broken. */
export type ReflectorWorld = {
  readonly transport: ApiTransport;
  readonly namespace: string;
  /** The server itself, or what stands before it: the place for faults. */
  readonly api: FakeApi;
  create(
    name: string,
    data: Readonly<Record<string, string>>,
    labels?: Readonly<Record<string, string>>,
  ): Promise<void>;
  /** Replaces data and labels. */
  update(
    name: string,
    data: Readonly<Record<string, string>>,
    labels?: Readonly<Record<string, string>>,
  ): Promise<void>;
  remove(name: string): Promise<void>;
};

export type ReflectorWorlds = {
  /** An empty namespace. */
  open(): Promise<ReflectorWorld>;
  close(): Promise<void>;
};

/** What a reflector has to keep of its promises at every API server, whatever happens to its connections. */
export function reflectorContract(name: string, start: () => Promise<ReflectorWorlds>): void {
  describe(`a reflector against ${name}`, () => {
    let worlds: ReflectorWorlds;
    before(async () => {
      worlds = await start();
    });
    after(() => worlds.close());

    test("holds what was there, and says so only then", async (t) => {
      const { world, reflector, run } = await open(t, worlds);
      await world.create("a", { k: "1" });
      assert.equal(reflector.hasSynced(), false);
      await run();
      assert.equal(reflector.hasSynced(), true);
      assert.deepEqual(dataOf(reflector, `${world.namespace}/a`), { k: "1" });
      assert.ok(reflector.lastActivityMs() > 0);
    });

    test("follows creation, change and removal", async (t) => {
      const { world, reflector, changes, run } = await open(t, worlds);
      await run();
      const key = `${world.namespace}/a`;
      await world.create("a", { k: "ä€😀" });
      await changes.next(key);
      assert.deepEqual(dataOf(reflector, key), { k: "ä€😀" });
      await world.update("a", { k: "2" });
      await changes.next(key);
      assert.deepEqual(dataOf(reflector, key), { k: "2" });
      await world.remove("a");
      await changes.next(key);
      assert.equal(reflector.get(key), undefined);
      assert.deepEqual(reflector.list(), []);
    });

    test("reads a collection of several pages", async (t) => {
      const { world, reflector, run } = await open(t, worlds, { pageSize: 2 });
      for (const object of ["a", "b", "c", "d", "e"]) await world.create(object, {});
      await run();
      assert.deepEqual(reflector.list().map(nameOf).sort(), ["a", "b", "c", "d", "e"]);
      assert.equal(world.api.count(listOn(world)), 3);
    });

    test("begins again when the list expires between two pages", async (t) => {
      const { world, reflector, run } = await open(t, worlds, { pageSize: 2 });
      for (const object of ["a", "b", "c"]) await world.create(object, {});
      world.api.use({ on: `${listOn(world)}?continue`, times: 1, reply: statusOf(410, { reason: "Expired" }) });
      await run();
      assert.equal(reflector.list().length, 3);
    });

    test("forgets an object that its selector no longer meets", async (t) => {
      const { world, reflector, changes, run } = await open(t, worlds, { labelSelector: "on=yes" });
      await world.create("a", {}, { on: "yes" });
      await world.create("b", {}, { on: "no" });
      await run();
      assert.deepEqual(reflector.list().map(nameOf), ["a"]);
      await changes.next(`${world.namespace}/a`);
      await world.update("a", {}, { on: "no" });
      await changes.next(`${world.namespace}/a`);
      assert.deepEqual(reflector.list(), []);
    });

    test("asks for metadata alone, of an empty collection too", async (t) => {
      const { world, reflector, changes, run } = await open(t, worlds, { metadataOnly: true });
      await run();
      assert.deepEqual(reflector.list(), []);
      await world.create("a", { k: "secret" });
      await changes.next(`${world.namespace}/a`);
      const object = reflector.get(`${world.namespace}/a`);
      assert.equal(object?.metadata.name, "a");
      assert.equal(object?.data, undefined);
    });

    test("goes on when a handler throws", async (t) => {
      const { world, reflector, changes, run } = await open(t, worlds);
      reflector.onChange(() => {
        throw new Error("planted");
      });
      const later = recordChanges(reflector);
      await run();
      await world.create("a", {});
      await changes.next(`${world.namespace}/a`);
      await later.next(`${world.namespace}/a`);
      await world.create("b", {});
      await later.next(`${world.namespace}/b`);
    });

    test("goes on from its last version when connections are cut", async (t) => {
      const { world, reflector, changes, run } = await open(t, worlds);
      await world.create("a", { k: "1" });
      await world.create("gone", {});
      await run();
      await world.api.seen(watchOn(world));
      world.api.use({ on: watchOn(world), times: 1, fault: "reset" });
      world.api.cut();
      await world.update("a", { k: "2" });
      await world.remove("gone");
      await changes.until(() => reflector.list().length === 1 && dataOf(reflector, `${world.namespace}/a`)?.k === "2");
      assert.equal(world.api.count(listOn(world)), 1);
    });

    test("does not act on half a line", async (t) => {
      const { world, reflector, changes, run } = await open(t, worlds);
      const half = { watch: [eventOf("ADDED", { metadata: { name: "half", resourceVersion: "1" } })] };
      world.api.use({ on: watchOn(world), times: 1, fault: "half-line", reply: half });
      await run();
      await world.create("a", {});
      await changes.next(`${world.namespace}/a`);
      assert.deepEqual(reflector.list().map(nameOf), ["a"]);
      assert.equal(world.api.count(listOn(world)), 1);
    });

    const expired = { kind: "Status", code: 410, reason: "Expired", message: "too old resource version" };
    for (const [form, reply] of [
      ["status", statusOf(410, { reason: "Expired" })],
      ["event", { watch: [eventOf("ERROR", expired)], end: "close" }],
    ] as const) {
      test(`lists again after 410 as ${form}, and tells of what changed only`, async (t) => {
        const { world, reflector, changes, run } = await open(t, worlds);
        await world.create("a", { k: "1" });
        await world.create("b", { k: "1" });
        world.api.use({ on: watchOn(world), times: 1, reply });
        await run();
        changes.clear();
        await world.update("b", { k: "2" });
        await changes.until(() => dataOf(reflector, `${world.namespace}/b`)?.k === "2");
        assert.equal(world.api.count(listOn(world)), 2);
        assert.deepEqual(new Set(changes.keys), new Set([`${world.namespace}/b`]));
      });
    }

    test("goes on from its last version after an error event of another kind", async (t) => {
      const { world, changes, run } = await open(t, worlds);
      const broken = { kind: "Status", code: 500, reason: "InternalError", message: "planted" };
      world.api.use({ on: watchOn(world), times: 1, reply: { watch: [eventOf("ERROR", broken)], end: "open" } });
      await run();
      await world.create("a", {});
      await changes.next(`${world.namespace}/a`);
      assert.equal(world.api.count(listOn(world)), 1);
    });

    test("lists for as long as it takes", async (t) => {
      const { world, reflector, changes, run } = await open(t, worlds);
      await world.create("a", {});
      world.api.use(
        { on: listOn(world), times: 1, reply: statusOf(500) },
        { on: listOn(world), times: 1, fault: "reset" },
      );
      await run();
      await changes.next(`${world.namespace}/a`);
      assert.equal(reflector.list().length, 1);
      assert.equal(world.api.count(listOn(world)), 3);
    });

    test("ends when it is told to, and begins again", async (t) => {
      const { world, reflector, changes, run } = await open(t, worlds);
      await world.create("a", {});
      const stop = await run();
      await stop();
      await world.create("b", {});
      await run();
      await changes.next(`${world.namespace}/b`);
      assert.equal(reflector.list().length, 2);
    });
  });
}

type Opened = {
  readonly world: ReflectorWorld;
  readonly reflector: Reflector;
  readonly changes: ChangeLog;
  /** Starts it, waits for the first list. @returns what stops it again */
  readonly run: () => Promise<() => Promise<void>>;
};

async function open(
  t: TestContext,
  worlds: ReflectorWorlds,
  options: Partial<ReflectorNeeds<KubernetesObject>> = {},
): Promise<Opened> {
  const world = await worlds.open();
  const reflector = createReflector({
    transport: world.transport,
    resource: resources.configMaps,
    namespace: world.namespace,
    clock: systemClock,
    random: () => 0,
    log: createLog({ level: "silent" }),
    metrics: new Registry(),
    ...options,
  });
  const changes = recordChanges(reflector);
  const run = async () => {
    const end = new AbortController();
    const running = reflector.run(end.signal);
    const stop = async () => {
      end.abort();
      await running;
    };
    t.after(stop);
    await reflector.whenSynced(AbortSignal.timeout(60_000));
    return stop;
  };
  return { world, reflector, changes, run };
}

function listOn({ namespace }: ReflectorWorld): string {
  return `GET /api/v1/namespaces/${namespace}/configmaps`;
}

function watchOn(world: ReflectorWorld): string {
  return `${listOn(world)}?watch`;
}

function nameOf(object: KubernetesObject): string {
  return object.metadata.name;
}

function dataOf(reflector: Reflector, key: string): Record<string, string> | undefined {
  return reflector.get(key)?.data as Record<string, string> | undefined;
}
