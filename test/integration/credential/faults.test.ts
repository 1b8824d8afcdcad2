import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "../../../src/clock.ts";
import { type ClusterTransport, createTransport } from "../../../src/cluster/client.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { createLog } from "../../../src/log.ts";
import { eventOf, type FakeApi, type Route, startFakeApi, statusOf } from "../../fake/api-server.ts";
import {
  countRequests,
  createNamespace,
  eventually,
  findSecret,
  passwordsOf,
  startTestCluster,
  type TestCluster,
} from "./cluster.ts";
import {
  createLeaderState,
  dockerConfig,
  type LeaderState,
  putSource,
  type RunningController,
  startController,
} from "./controller.ts";

const signal = AbortSignal.timeout(600_000);
const log = createLog({ level: "silent" });
const first = { "x.example.com": "1" };
const second = { "x.example.com": "2" };

let cluster: TestCluster;
let proxy: FakeApi;
let leader: LeaderState;
let count = 0;
const transports: ClusterTransport[] = [];
const controllers: RunningController[] = [];
const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown) => void unhandled.push(reason);
before(async () => {
  process.on("unhandledRejection", onUnhandled);
  cluster = await startTestCluster();
  await createNamespace(cluster.api, "slipway-system", { labels: {} });
});
after(async () => {
  process.off("unhandledRejection", onUnhandled);
  await cluster.stop();
});
beforeEach(async () => {
  proxy = await startFakeApi([], { upstream: cluster.kubeconfigPath });
  await putSource(cluster.api, "one", dockerConfig(first));
  leader = createLeaderState(cluster.api);
  await leader.setPullCredentials({ a: [{ secretRef: { name: "one" } }] });
});
afterEach(async () => {
  for (const controller of controllers.splice(0)) await controller.stop();
  for (const transport of transports.splice(0)) await transport.close();
  await proxy.close();
  assert.deepEqual(unhandled, []);
});

/** A leader whose every request goes through the proxy. */
async function lead(options: Parameters<typeof startController>[2] = {}): Promise<RunningController> {
  const transport = createTransport({ kubeconfig: proxy.kubeconfig, clock: systemClock, random: Math.random, log });
  transports.push(transport);
  const controller = await startController(countRequests(transport), leader, options);
  controllers.push(controller);
  return controller;
}

const newName = () => `fault-${++count}`;
const passwords = async (name: string) => passwordsOf(await findSecret(cluster.api, name));
const holds = (name: string, want: Readonly<Record<string, string>>) =>
  eventually(`${name} holds ${JSON.stringify(want)}`, async () =>
    JSON.stringify(await passwords(name)) === JSON.stringify(want) ? true : undefined,
  );
const secretPath = (name: string) => `/api/v1/namespaces/${name}/secrets/slipway-pull`;
const watches = ["GET /api/v1/namespaces?watch", "GET /api/v1/secrets?watch"];
const lists = ["GET /api/v1/namespaces", "GET /api/v1/secrets"];
const half = JSON.stringify({
  type: "ADDED",
  object: { metadata: { name: "cut-off", uid: "u", resourceVersion: "1" } },
});

/** Looks on while the fault lasts: the Secret of a namespace may hold the old or the new logins, and nothing else. */
function watchOver(names: readonly string[]) {
  const over = new AbortController();
  const worse: string[] = [];
  const allowed = [first, second].map((want) => JSON.stringify(want));
  const looking = (async () => {
    while (!over.signal.aborted) {
      for (const name of names) {
        const found = JSON.stringify(await passwords(name));
        if (!allowed.includes(found)) worse.push(`${name}: ${found}`);
      }
      await delay(5);
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

/** After whatever `broken` does, an old namespace follows a new login, and a new namespace gets it. */
async function converges(broken: () => void): Promise<void> {
  const [steady, lost] = [newName(), newName()];
  for (const name of [steady, lost]) await createNamespace(cluster.api, name);
  await lead();
  for (const name of [steady, lost]) await holds(name, first);
  const over = watchOver([steady]);
  try {
    broken();
    proxy.cut();
    const fresh = newName();
    await createNamespace(cluster.api, fresh);
    await cluster.api.delete(resources.secrets, { namespace: lost, name: "slipway-pull" }, { signal });
    await putSource(cluster.api, "one", dockerConfig(second));
    await leader.recompile();
    for (const name of [steady, lost, fresh]) await holds(name, second);
  } finally {
    await over.end();
  }
}

const faults: readonly { readonly name: string; readonly routes: readonly Route[] }[] = [
  { name: "closed", routes: watches.map((on) => ({ on, times: 2, reply: { watch: [], end: "close" } })) },
  {
    name: "cut in the middle of a line",
    routes: watches.map((on) => ({ on, times: 2, reply: { watch: [half] }, fault: "reset" })),
  },
  {
    name: "ended after half a line",
    routes: watches.map((on) => ({ on, times: 2, reply: { watch: [half] }, fault: "half-line" })),
  },
  {
    name: "answered with 410",
    routes: watches.map((on) => ({ on, times: 2, reply: statusOf(410, { reason: "Expired" }) })),
  },
  {
    name: "ended by a 410 event",
    routes: watches.map((on) => ({
      on,
      times: 2,
      reply: {
        watch: [eventOf("ERROR", { kind: "Status", code: 410, reason: "Expired", message: "too old" })],
        end: "close",
      },
    })),
  },
  {
    name: "answered with 410, and the lists after them with 429 and Retry-After",
    routes: [
      ...watches.map((on) => ({ on, times: 1, reply: statusOf(410, { reason: "Expired" }) })),
      ...lists.map((on) => ({ on, times: 2, reply: statusOf(429, { headers: { "retry-after": "1" } }) })),
    ],
  },
  {
    name: "answered with 500, as the lists after them, twice in a row",
    routes: [...watches, ...lists].map((on) => ({ on, times: 2, reply: statusOf(500) })),
  },
  {
    name: "cut at once, as the lists after them, twice in a row",
    routes: [...watches, ...lists].map((on) => ({ on, times: 2, fault: "reset" })),
  },
];

describe("the watches are", () => {
  for (const { name, routes } of faults) {
    test(`${name}: every namespace converges, and no good Secret suffers`, () => converges(() => proxy.use(...routes)));
  }
});

describe("a write is", () => {
  const writes: readonly { readonly name: string; readonly route: Omit<Route, "on"> }[] = [
    {
      name: "answered with 429 and Retry-After",
      route: { times: 2, reply: statusOf(429, { headers: { "retry-after": "1" } }) },
    },
    { name: "answered with 500", route: { times: 4, reply: statusOf(500) } },
    { name: "cut off before an answer", route: { times: 3, fault: "reset" } },
    {
      name: "answered with half a body",
      route: { times: 2, reply: { status: 200, body: { metadata: { name: "x" } } }, fault: "half-line" },
    },
    { name: "a conflict", route: { times: 2, reply: statusOf(409, { reason: "Conflict" }) } },
  ];
  for (const { name, route } of writes) {
    test(`${name}: it is made again, and other namespaces do not wait`, async () => {
      const [hit, other] = [newName(), newName()];
      proxy.use({ on: `PATCH ${secretPath(hit)}`, ...route });
      await lead();
      await createNamespace(cluster.api, hit);
      await createNamespace(cluster.api, other);
      await holds(other, first);
      await holds(hit, first);
    });
  }

  test("never answered: the other namespaces are served meanwhile", async () => {
    const [hung, other] = [newName(), newName()];
    proxy.use({ on: `PATCH ${secretPath(hung)}`, times: 1, fault: "hang" });
    await lead();
    await createNamespace(cluster.api, hung);
    await proxy.seen(`PATCH ${secretPath(hung)}`);
    await createNamespace(cluster.api, other);
    await holds(other, first);
    // Whoever cuts the connection ends the wait: a load balancer, the API server's restart, our own deadline.
    proxy.cut();
    await holds(hung, first);
  });
});

test("two leaders at once agree, and write no more than needed", async () => {
  const names = Array.from({ length: 10 }, newName);
  await Promise.all([lead(), lead()]);
  for (const name of names) await createNamespace(cluster.api, name);
  for (const name of names) await holds(name, first);
  const bothHaveLooked = () =>
    eventually("both have looked at everything", () =>
      controllers.every(({ progress }) => progress.hasReached(leader.compiled()?.revision ?? 0)) ? true : undefined,
    );
  const over = watchOver(names);
  await putSource(cluster.api, "one", dockerConfig(second));
  await leader.recompile();
  for (const name of names) await holds(name, second);
  await over.end();
  await bothHaveLooked();
  const versions = async () =>
    Promise.all(names.map(async (name) => (await findSecret(cluster.api, name))?.metadata.resourceVersion));
  const settled = await versions();
  for (let looks = 0; looks < 3; looks++) {
    await leader.recompile();
    await bothHaveLooked();
  }
  assert.deepEqual(await versions(), settled, "they do not write in turn");
});

test("a handler that throws is tried again, and others do not wait", async () => {
  const [bad, good] = [newName(), newName()];
  await createNamespace(cluster.api, bad);
  await createNamespace(cluster.api, good);
  let thrown = 0;
  const compiled = leader.compiled;
  // The compiled state is the first thing that a look at a namespace reads.
  leader = {
    ...leader,
    compiled() {
      if (thrown++ < 5) throw new Error("a fault in a handler");
      return compiled();
    },
  };
  await lead({ resyncMs: 100 });
  await holds(good, first);
  await holds(bad, first);
  assert.ok(thrown > 5);
});
