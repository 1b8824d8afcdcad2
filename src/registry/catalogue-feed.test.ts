import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { type TestContext, test } from "node:test";
import { createManualClock, type ManualClock } from "../../test/fake/clock.ts";
import { type FakeRegistry, type RegistryRoute, startFakeRegistry } from "../../test/fake/registry.ts";
import { createSelfSigned } from "../../test/fake/self-signed.ts";
import { systemClock } from "../clock.ts";
import { createLog } from "../log.ts";
import { type Catalogue, createCatalogue } from "./catalogue.ts";
import { type CatalogueFeed, createCatalogueFeed } from "./catalogue-feed.ts";
import { createRegistryClient } from "./client.ts";
import type { StreamEvent } from "./stream-protocol.ts";

/** Of all gateways, as in a cluster. */
const pair = createSelfSigned();
const digest = `sha256:${"a".repeat(64)}`;
const empty: readonly RegistryRoute[] = [{ on: "GET /v2/_catalog?n=500", body: '{"repositories":[]}' }];

/** A gateway whose stream the test writes. */
type Gateway = FakeRegistry & {
  /** Tokens of the streams that were opened so far. */
  readonly tokens: readonly string[];
  send(event: StreamEvent): void;
  end(): void;
};

async function startGateway(t: TestContext, routes: readonly RegistryRoute[], generations = [1]): Promise<Gateway> {
  const open = new Set<ServerResponse>();
  const tokens: string[] = [];
  const stream: RegistryRoute = {
    on: "GET /slipway/catalogue",
    handle(request, response) {
      tokens.push(request.headers.authorization ?? "");
      open.add(response);
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      response.write(`${JSON.stringify({ type: "hello", protocol: 1, generations, readOnly: false })}\n`);
    },
  };
  const registry = await startFakeRegistry([stream, ...routes], pair);
  t.after(registry.close);
  return {
    ...registry,
    tokens,
    send(event) {
      for (const response of open) response.write(`${JSON.stringify(event)}\n`);
    },
    end() {
      for (const response of open) response.end();
      open.clear();
    },
  };
}

type Setup = {
  readonly clock: ManualClock;
  readonly catalogue: Catalogue;
  readonly feed: CatalogueFeed;
  /** Moves the clock on in small steps until it holds; connections need real time meanwhile. */
  until(holds: () => boolean, stepMs?: number): Promise<void>;
};

function startFeed(
  t: TestContext,
  gateways: readonly Gateway[],
  options: { readonly endpoints?: () => readonly string[]; readonly hasStream?: boolean } = {},
): Setup {
  const clock = createManualClock();
  const catalogue = createCatalogue({ clock });
  const [first] = gateways;
  assert.ok(first);
  const client = createRegistryClient({
    origin: first.url,
    ca: () => first.ca,
    login: () => undefined,
    clock: systemClock,
    random: () => 0,
  });
  let reads = 0;
  const feed = createCatalogueFeed({
    catalogue,
    endpoints: options.endpoints ?? (() => gateways.map((gateway) => gateway.address)),
    hasStream: () => options.hasStream ?? true,
    client: () => client,
    stream: {
      serverName: () => "localhost",
      ca: () => pair.cert,
      token: async () => `token-${++reads}`,
    },
    clock,
    random: () => 0.5,
    log: createLog({ level: "silent" }),
  });
  const stop = new AbortController();
  const running = feed.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
    client.close();
  });
  const until = async (holds: () => boolean, stepMs = 50): Promise<void> => {
    const deadline = systemClock.monotonicMs() + 60_000;
    while (!holds()) {
      assert.ok(systemClock.monotonicMs() < deadline, "it did not come about within a minute");
      await clock.advance(stepMs);
      await systemClock.sleep(2, stop.signal);
    }
  };
  return { clock, catalogue, feed, until };
}

test("what a gateway holds and what is pushed afterwards is present", async (t) => {
  const gateway = await startGateway(t, [
    { on: "GET /v2/_catalog?n=500", body: '{"repositories":["demo/app"]}' },
    { on: "GET /v2/demo/app/tags/list?n=500", body: '{"tags":["1"]}' },
    { on: "HEAD /v2/demo/app/manifests/1", headers: { "docker-content-digest": digest } },
  ]);
  const { catalogue, feed, until } = startFeed(t, [gateway]);
  assert.equal(catalogue.has("demo/app", "1", undefined), undefined);
  await until(() => feed.hasReadOnce());
  assert.equal(catalogue.has("demo/app", "1", digest), true);
  assert.equal(catalogue.has("demo/app", "2", undefined), false);
  gateway.send({ type: "pushed", repository: "demo/app", tag: "2", digest });
  await until(() => catalogue.has("demo/app", "2", undefined) === true);
});

test("a stream that ends is opened again with a token that was read anew", async (t) => {
  const gateway = await startGateway(t, empty);
  const { catalogue, feed, until } = startFeed(t, [gateway]);
  await until(() => feed.hasReadOnce());
  gateway.end();
  await until(() => catalogue.state().kind === "lost");
  await until(() => catalogue.state().kind === "live");
  assert.deepEqual(gateway.tokens, ["Bearer token-1", "Bearer token-2"]);
});

test("a stream without a heartbeat is given up and opened again", async (t) => {
  const gateway = await startGateway(t, empty);
  const { feed, until } = startFeed(t, [gateway]);
  await until(() => feed.hasReadOnce());
  await until(() => gateway.tokens.length === 2);
});

test("heartbeats keep a stream open and tell new key generations", async (t) => {
  const gateway = await startGateway(t, empty);
  const { clock, feed, until } = startFeed(t, [gateway]);
  await until(() => feed.hasReadOnce());
  assert.deepEqual(feed.generations(), new Set([1]));
  for (let generation = 2; generation < 8; generation++) {
    gateway.send({ type: "heartbeat", generations: [generation, 1] });
    await until(() => feed.generations()?.has(generation) === true, 0);
    await clock.advance(10_000);
  }
  assert.equal(gateway.tokens.length, 1);
});

test("a generation counts when every gateway has told it; none running tells nothing", async (t) => {
  const one = await startGateway(t, empty, [2, 1]);
  const other = await startGateway(t, empty, [1]);
  const { feed, until } = startFeed(t, [one, other]);
  assert.equal(feed.generations(), undefined);
  await until(() => feed.generations() !== undefined);
  assert.deepEqual(feed.generations(), new Set([1]));
  other.end();
  await until(() => feed.generations() === undefined);
});

test("what the volume holds is known from a heartbeat until the stream closes", async (t) => {
  const gateway = await startGateway(t, empty);
  const { feed, until } = startFeed(t, [gateway]);
  await until(() => feed.hasReadOnce());
  assert.equal(feed.bytesUsed(), undefined);
  gateway.send({ type: "heartbeat", generations: [1], bytesUsed: 0 });
  await until(() => feed.bytesUsed() === 0, 0);
  gateway.send({ type: "heartbeat", generations: [1] });
  await until(() => feed.bytesUsed() === undefined, 0);
  gateway.send({ type: "heartbeat", generations: [1], bytesUsed: 7 });
  await until(() => feed.bytesUsed() === 7, 0);
  gateway.end();
  await until(() => feed.bytesUsed() === undefined);
});

test("gateways that go are left, and without any the catalogue is lost", async (t) => {
  const gateway = await startGateway(t, empty);
  let endpoints: readonly string[] = [gateway.address];
  const { catalogue, feed, until } = startFeed(t, [gateway], { endpoints: () => endpoints });
  await until(() => feed.hasReadOnce());
  endpoints = [];
  await until(() => catalogue.state().kind === "lost");
  assert.equal(feed.hasSource(), false);
  assert.equal(feed.generations(), undefined);
});

test("what was missed is looked up once in the background, and a 404 is remembered", async (t) => {
  const gateway = await startGateway(t, [
    ...empty,
    { on: "HEAD /v2/demo/app/manifests/1", headers: { "docker-content-digest": digest } },
  ]);
  const { catalogue, feed, until } = startFeed(t, [gateway]);
  await until(() => feed.hasReadOnce());
  catalogue.missed("demo/app", "1");
  await until(() => catalogue.has("demo/app", "1", digest) === true);
  const asked = () => gateway.requests.filter((request) => request.endsWith("/absent")).length;
  catalogue.missed("demo/app", "absent");
  await until(() => asked() === 1);
  catalogue.missed("demo/app", "absent");
  catalogue.missed("demo/other", "1");
  await until(() => gateway.requests.includes("HEAD /v2/demo/other/manifests/1"));
  assert.equal(asked(), 1);
});

test("without a stream listing alone tells, and a registry that is away is lost", async (t) => {
  const gateway = await startGateway(t, [
    { on: "GET /v2/_catalog?n=500", body: '{"repositories":["demo/app"]}', times: 1 },
    { on: "GET /v2/_catalog?n=500", status: 403, times: 3 },
    { on: "GET /v2/_catalog?n=500", body: '{"repositories":[]}' },
    { on: "GET /v2/demo/app/tags/list?n=500", body: '{"tags":["1"]}' },
    { on: "HEAD /v2/demo/app/manifests/1", headers: { "docker-content-digest": digest } },
  ]);
  const { catalogue, feed, until } = startFeed(t, [gateway], { hasStream: false });
  await until(() => feed.hasReadOnce());
  assert.equal(catalogue.has("demo/app", "1", undefined), true);
  await until(() => catalogue.state().kind === "lost");
  assert.ok(feed.lastFault());
  await until(() => catalogue.state().kind === "live");
  assert.deepEqual(gateway.tokens, []);
});
