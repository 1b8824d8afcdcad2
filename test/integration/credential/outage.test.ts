import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { resources } from "../../../src/cluster/resource.ts";
import { freePort } from "../../../src/dev/distribution.ts";
import { type FakeApi, startFakeApi, statusOf } from "../../fake/api-server.ts";
import { createFastClock, createJumpingClock } from "../../fake/clock.ts";
import {
  createNamespace,
  eventually,
  findSecret,
  installTypes,
  passwordsOf,
  startTestCluster,
  type TestCluster,
  waitMs,
} from "./cluster.ts";
import { dockerConfig, putSource } from "./controller.ts";
import { type LeaderSettings, type RunningLeader, startLeader, within } from "./leader.ts";

// What befalls the API server as a whole, and a replica of serve as a whole: lease, caches, compiler, controllers.

const signal = AbortSignal.timeout(900_000);
/**
 * From the end of a fault on: the longest pause of a reflector, a second one where the server that has just begun still
 * refuses (its own roles are not read yet), then the fan-out; and as much again for a machine that is busy.
 */
const convergenceMs = 60_000;

let cluster: TestCluster;
let proxy: FakeApi;
let count = 0;
let password = 0;
const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown) => void unhandled.push(reason);
before(async () => {
  process.on("unhandledRejection", onUnhandled);
  cluster = await startTestCluster({ port: await freePort() });
  await installTypes(cluster);
  await changeSource();
  const spec = { sources: [{ secretRef: { name: "one" } }] };
  await cluster.api.create(resources.pullCredentials, { metadata: { name: "a" }, spec }, { signal });
});
after(async () => {
  await cluster.stop();
  process.off("unhandledRejection", onUnhandled);
});
beforeEach(async () => {
  proxy = await startFakeApi([], { upstream: cluster.kubeconfigPath });
});
afterEach(() => proxy.close());

/** A new login in the source. @returns what every namespace has to come to */
async function changeSource(): Promise<Readonly<Record<string, string>>> {
  const logins = { "x.example.com": String(++password) };
  await putSource(cluster.api, "one", dockerConfig(logins));
  return logins;
}

async function newNamespace(): Promise<string> {
  const name = `outage-${++count}`;
  await createNamespace(cluster.api, name);
  return name;
}

const holds = (name: string, want: Readonly<Record<string, string>>) =>
  within(convergenceMs, `${name} holds ${JSON.stringify(want)}`, async () =>
    JSON.stringify(passwordsOf(await findSecret(cluster.api, name))) === JSON.stringify(want) ? true : undefined,
  );

/** Looks on, as far as the API server lets it: logins of a namespace only ever get newer. */
function watchOver(name: string) {
  const over = new AbortController();
  const worse: string[] = [];
  let newest = 0;
  const look = async () => {
    const secret = await findSecret(cluster.api, name).catch(() => undefined);
    if (secret === undefined) return;
    const found = Number(passwordsOf(secret)["x.example.com"]);
    if (!(found >= newest)) worse.push(`${newest} became ${JSON.stringify(passwordsOf(secret))}`);
    newest = found;
  };
  const looking = (async () => {
    while (!over.signal.aborted) {
      await look();
      await delay(10);
    }
  })();
  return {
    async end() {
      over.abort();
      await looking;
      assert.deepEqual(worse, [], "a good Secret became something worse");
    },
  };
}

type Disturbed = {
  readonly leaders: readonly RunningLeader[];
  /** A namespace that is in step from the beginning. */
  readonly steady: string;
};

/**
 * Starts leaders, has `disturb` do what it does, and looks whether everything converges soon after it has returned:
 * an old namespace, one whose Secret was deleted, one that is new, a new login.
 */
async function outlives(
  disturb: (disturbed: Disturbed) => Promise<unknown>,
  ...settings: readonly LeaderSettings[]
): Promise<void> {
  const [steady, lost] = [await newNamespace(), await newNamespace()];
  const leaders = settings.map((one) => startLeader(proxy.kubeconfig, one));
  const before = await changeSource();
  for (const name of [steady, lost]) await holds(name, before);
  const over = watchOver(steady);
  try {
    await disturb({ leaders, steady });
    const fresh = await newNamespace();
    await cluster.api.delete(resources.secrets, { namespace: lost, name: "slipway-pull" }, { signal });
    const want = await changeSource();
    await Promise.all([steady, lost, fresh].map((name) => holds(name, want)));
    for (const leader of leaders) assert.equal(leader.failed(), undefined, "nothing of ours ended");
    assert.deepEqual(unhandled, []);
  } finally {
    await over.end();
    for (const leader of leaders) await leader.stop();
  }
}

const elected = { identity: "a" };
/** Half a minute of the leader's time is over in six seconds. */
const fast = createFastClock(5);
const electedFast = { ...elected, clock: fast };

describe("the API server", () => {
  test("is restarted in order", () =>
    outlives(async () => {
      await cluster.processes.stopApiServer();
      await cluster.processes.startApiServer();
    }, elected));

  test("dies, and is away for longer than the lease can be renewed", () =>
    outlives(async () => {
      await cluster.processes.stopApiServer("kill");
      await fast.sleep(13_000, signal);
      await cluster.processes.startApiServer();
    }, electedFast));

  test("is away when a leader has just been elected, and has objects to create", () =>
    outlives(
      async () => {
        await cluster.processes.stopApiServer("kill");
        await fast.sleep(13_000, signal);
        await cluster.processes.startApiServer();
        await eventually("the defaults are there", () =>
          cluster.api.get(resources.imageRewrites, { name: "default" }, signal).catch(() => undefined),
        );
        // It would put further logins into every Secret.
        await cluster.api.delete(resources.localRegistries, { name: "default" }, { signal });
      },
      { ...electedFast, defaults: true },
    ));

  test("answers everything with 500 for 30 s, writes included, while things change", () =>
    outlives(async () => {
      proxy.use({ on: "*", reply: statusOf(500) });
      proxy.cut();
      const during = await newNamespace();
      const want = await changeSource();
      await fast.sleep(30_000, signal);
      proxy.drop("*");
      await holds(during, want);
    }, electedFast));

  test("answers no write for 30 s but with 500, while it answers reads", () =>
    outlives(async ({ steady }) => {
      const during = await newNamespace();
      const writes = [steady, during].map((name) => `PATCH /api/v1/namespaces/${name}/secrets/slipway-pull`);
      for (const on of writes) proxy.use({ on, reply: statusOf(500) });
      const want = await changeSource();
      await proxy.seen(writes[1] ?? "", 3);
      await fast.sleep(30_000, signal);
      for (const on of writes) proxy.drop(on);
      await holds(during, want);
    }, electedFast));

  test("has an etcd that stands still for 20 s", () =>
    outlives(async () => {
      cluster.processes.pauseEtcd();
      await delay(20_000);
      cluster.processes.resumeEtcd();
    }, elected));
});

describe("requests are never answered", () => {
  test("any of them, reads, watches and writes, until our own deadline ends them", () =>
    outlives(
      async () => {
        proxy.use({ on: "*", fault: "hang" });
        proxy.cut();
        await newNamespace();
        await changeSource();
        await delay(5_000); // 50 s for the leader, whose requests have 30
        proxy.drop("*");
      },
      { ...elected, clock: createFastClock(10) },
    ));

  test("a write: it is made again after our own deadline, without anybody's help", () =>
    outlives(
      async ({ steady }) => {
        const write = `PATCH /api/v1/namespaces/${steady}/secrets/slipway-pull`;
        proxy.use({ on: write, times: 1, fault: "hang" });
        const want = await changeSource();
        await proxy.seen(write, 2);
        await holds(steady, want);
      },
      { ...elected, clock: createFastClock(10) },
    ));

  test("a watch that goes silent is opened again", () =>
    outlives(
      async ({ leaders }) => {
        const watch = "GET /api/v1/namespaces?watch";
        const lists = () => leaders[0]?.lists.filter((path) => path === "/api/v1/namespaces").length;
        // It lists first, so that its regular list, every ten minutes, is far from due: 36 s here, the silence 12 s.
        proxy.use(
          { on: watch, times: 1, reply: statusOf(410, { reason: "Expired" }) },
          { on: watch, times: 1, fault: "silence" },
        );
        proxy.cut();
        await proxy.seen(watch, 3);
        const before = lists();
        await proxy.seen(watch, 4);
        assert.equal(lists(), before, "from the version that it had");
      },
      { ...elected, clock: createFastClock(15) },
    ));
});

describe("the clock of the leader jumps", () => {
  const jumps = [
    { name: "an hour forward", durationMs: 3_600_000, which: "wall" },
    { name: "an hour back", durationMs: -3_600_000, which: "wall" },
    {
      name: "an hour forward, the monotonic one too, as after a sleep of the machine",
      durationMs: 3_600_000,
      which: "both",
    },
    { name: "an hour back, the monotonic one too, which it never should", durationMs: -3_600_000, which: "both" },
  ] as const;
  for (const { name, durationMs, which } of jumps) {
    test(name, () => {
      const clock = createJumpingClock();
      return outlives(
        async ({ steady }) => {
          clock.jump(durationMs, which);
          await holds(steady, await changeSource());
          proxy.cut();
        },
        { ...elected, clock },
      );
    });
  }
});

test("two lead at once, one of them with watches that lag: nothing newer is written over", () =>
  outlives(
    async ({ leaders, steady }) => {
      for (let turn = 0; turn < 5; turn++) {
        proxy.cut();
        await holds(steady, await changeSource());
      }
      const [one, other] = leaders;
      assert.ok(one !== undefined && other !== undefined);
      await within(convergenceMs, "both have the same state", () =>
        one.replica.compiled()?.revision === other.replica.compiled()?.revision ? true : undefined,
      );
      await within(convergenceMs, "both write nothing for two seconds: they do not write in turn", async () => {
        const settled = one.writes.length + other.writes.length;
        await delay(2_000);
        return one.writes.length + other.writes.length === settled ? true : undefined;
      });
    },
    {},
    {},
  ));

test("handlers of changes throw, each time: the others hear of it all the same", () =>
  outlives(async ({ leaders, steady }) => {
    const { stores } = leaders[0]?.replica ?? assert.fail();
    for (const store of [stores.namespaces, stores.pullSecrets, stores.secrets, stores.pullCredentials]) {
      store.onChange(() => {
        throw new Error("planted");
      });
    }
    await holds(steady, await changeSource());
  }, elected));

test("one of two replicas is cut off: the other leads, and nothing that it wrote is written over", () =>
  outlives(async ({ steady }) => {
    const behind = await startFakeApi([], { upstream: cluster.kubeconfigPath });
    const other = startLeader(behind.kubeconfig, { identity: "b", clock: fast });
    proxy.use({ on: "*", fault: "hang" });
    proxy.cut();
    await within(waitMs, "the other leads", async () => {
      const lease = await cluster.api.get(resources.leases, { namespace: "slipway-system", name: "slipway" }, signal);
      return (lease.spec as { holderIdentity: string }).holderIdentity === "b" ? true : undefined;
    });
    await holds(steady, await changeSource());
    proxy.drop("*");
    proxy.cut();
    await holds(steady, await changeSource());
    await other.stop();
    await behind.close();
  }, electedFast));
