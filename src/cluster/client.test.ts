import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { Registry } from "prom-client";
import { type Route, startFakeApi, statusOf } from "../../test/fake/api-server.ts";
import { createManualClock } from "../../test/fake/clock.ts";
import { systemClock } from "../clock.ts";
import { createLog } from "../log.ts";
import { ApiError, type ApiRequest, applyContentType } from "./api.ts";
import { createTransport, type TransportLimits } from "./client.ts";

const path = "/api/v1/namespaces/a";
const never = new AbortController().signal;
const ok = { status: 200, body: { metadata: { name: "a" } } };
const get: ApiRequest = { method: "GET", path, signal: never };

async function open(t: TestContext, routes: readonly Route[], limits: TransportLimits = {}) {
  const api = await startFakeApi(routes);
  const clock = createManualClock();
  const metrics = new Registry();
  const needs = { kubeconfig: api.kubeconfig, clock, random: () => 0.5, log: createLog({ level: "silent" }), metrics };
  const transport = createTransport({ ...needs, limits });
  t.after(async () => {
    await transport.close();
    await api.close();
  });
  return { api, clock, transport, metrics };
}

async function failure(task: Promise<unknown>): Promise<ApiError> {
  const error = await task.then(
    () => assert.fail("it should have failed"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ApiError);
  return error;
}

describe("what a request carries", () => {
  test("the token of the kubeconfig, our name and the wanted type", async (t) => {
    const { api, transport } = await open(t, [{ on: `GET ${path}`, reply: ok }]);
    assert.deepEqual(await transport.json({ ...get, query: { a: "1", b: undefined } }), ok.body);
    const [request] = api.requests;
    assert.equal(request?.headers.authorization, "Bearer fake-token");
    assert.match(request?.headers["user-agent"] ?? "", /^slipway\//);
    assert.equal(request?.headers.accept, "application/json");
    assert.equal(request?.query.toString(), "a=1");
  });

  test("a body as JSON under the given content type", async (t) => {
    const { api, transport } = await open(t, [{ on: `PATCH ${path}`, reply: ok }]);
    await transport.json({ ...get, method: "PATCH", body: { ü: 1 }, contentType: applyContentType });
    assert.equal(api.requests[0]?.headers["content-type"], applyContentType);
    assert.deepEqual(api.requests[0]?.body, { ü: 1 });
  });

  test("many requests share few connections", async (t) => {
    const { api, transport } = await open(t, [{ on: `GET ${path}`, reply: ok }], { maxConnections: 2 });
    for (let round = 0; round < 5; round++) await Promise.all([transport.json(get), transport.json(get)]);
    assert.ok(api.connections() <= 2, `${api.connections()} connections`);
  });
});

describe("what a failure becomes", () => {
  const body = {
    kind: "Status",
    reason: "Conflict",
    message: "Apply failed with 1 conflict",
    details: { causes: [{ reason: "FieldManagerConflict", field: ".data" }], retryAfterSeconds: 3 },
  };
  const cases: readonly { name: string; route: Omit<Route, "on">; want: Partial<ApiError> }[] = [
    {
      name: "a metav1.Status gives reason, message, causes and Retry-After",
      route: { reply: { status: 409, body } },
      want: {
        status: 409,
        reason: "Conflict",
        causes: ["FieldManagerConflict"],
        retryAfterMs: 3_000,
        message: body.message,
      },
    },
    {
      name: "a page of a proxy gives its status and nothing of its text",
      route: { reply: { status: 502, headers: { "content-type": "text/html" }, body: "<html>secret</html>" } },
      want: { status: 502, reason: "", causes: [] },
    },
    { name: "a reset gives status 0", route: { fault: "reset" }, want: { status: 0, reason: "ConnectionLost" } },
    {
      name: "half a body gives status 0",
      route: { fault: "reset", reply: ok },
      want: { status: 0, reason: "ConnectionLost" },
    },
    {
      name: "a body that is no JSON gives status 0",
      route: { fault: "half-line", reply: ok },
      want: { status: 0, reason: "Unreadable" },
    },
  ];
  for (const { name, route, want } of cases) {
    test(name, async (t) => {
      const { transport } = await open(t, [{ on: `GET ${path}`, ...route }]);
      const error = await failure(transport.json({ ...get, retry: false }));
      for (const [field, value] of Object.entries(want)) assert.deepEqual(error[field as keyof ApiError], value);
      assert.doesNotMatch(error.message, /secret|fake-token/);
    });
  }

  test("an abort of the caller ends a hung request with reason Aborted", async (t) => {
    const { api, transport } = await open(t, [{ on: `GET ${path}`, fault: "hang" }]);
    const caller = new AbortController();
    const task = failure(transport.json({ ...get, signal: caller.signal }));
    await api.seen(`GET ${path}`);
    caller.abort(new Error("enough"));
    assert.deepEqual({ ...(await task) }.reason, "Aborted");
  });

  test("a request that nobody answers ends after the time of one attempt, and the next gets a new connection", async (t) => {
    const { api, clock, transport } = await open(t, [
      { on: `GET ${path}`, fault: "hang", times: 1 },
      { on: `GET ${path}`, reply: ok },
    ]);
    const task = failure(transport.json(get));
    await api.seen(`GET ${path}`);
    await clock.advance(30_000);
    const error = await task;
    assert.deepEqual([error.status, error.reason], [0, "Timeout"]);
    await transport.json(get);
    assert.equal(api.connections(), 2);
  });

  test("headers without a body count as no answer", async (t) => {
    const { api, clock, transport } = await open(t, [{ on: `GET ${path}`, fault: "silence" }]);
    const task = failure(transport.json(get));
    await api.seen(`GET ${path}`);
    await clock.advance(30_000);
    assert.equal((await task).reason, "Timeout");
  });
});

describe("what is tried again", () => {
  const busy = statusOf(429, { reason: "TooManyRequests", headers: { "retry-after": "2" } });

  test("a GET after 429, not before Retry-After is over", async (t) => {
    const { api, clock, transport } = await open(t, [
      { on: `GET ${path}`, reply: busy, times: 1 },
      { on: `GET ${path}`, reply: ok },
    ]);
    const task = transport.json(get);
    await clock.whenSleeping(1, 2_100);
    await clock.advance(1_999);
    assert.equal(api.count(`GET ${path}`), 1);
    await clock.advance(101);
    assert.deepEqual(await task, ok.body);
  });

  test("a server-side apply after a lost connection", async (t) => {
    const { clock, transport } = await open(t, [
      { on: `PATCH ${path}`, fault: "reset", times: 1 },
      { on: `PATCH ${path}`, reply: ok },
    ]);
    const task = transport.json({ ...get, method: "PATCH", body: {}, contentType: applyContentType });
    await clock.whenSleeping(1, 100);
    await clock.advance(100);
    assert.deepEqual(await task, ok.body);
  });

  for (const [name, request] of [
    ["a POST", { ...get, method: "POST", body: {} }],
    ["a merge patch", { ...get, method: "PATCH", body: {}, contentType: "application/merge-patch+json" }],
    ["a request that says no", { ...get, retry: false }],
  ] as const) {
    test(`${name} is not`, async (t) => {
      const { api, transport } = await open(t, [{ on: `${request.method} ${path}`, reply: statusOf(503) }]);
      assert.equal((await failure(transport.json(request))).status, 503);
      assert.equal(api.requests.length, 1);
    });
  }

  test("a 500 is not", async (t) => {
    const { api, transport } = await open(t, [{ on: `GET ${path}`, reply: statusOf(500) }]);
    assert.equal((await failure(transport.json(get))).status, 500);
    assert.equal(api.requests.length, 1);
  });

  test("no attempt begins after the time for retries", async (t) => {
    const { api, clock, transport } = await open(t, [{ on: `GET ${path}`, reply: busy }], { retryForMs: 5_000 });
    const task = failure(transport.json(get));
    for (let attempt = 1; attempt < 3; attempt++) {
      await clock.whenSleeping(1, 2_500);
      await clock.advance(2_500);
      await api.seen(`GET ${path}`, attempt + 1);
    }
    assert.equal((await task).status, 429);
    assert.equal(api.requests.length, 3);
  });

  test("an abort ends the wait for another attempt", async (t) => {
    const { clock, transport } = await open(t, [{ on: `GET ${path}`, reply: busy }]);
    const caller = new AbortController();
    const task = failure(transport.json({ ...get, signal: caller.signal }));
    await clock.whenSleeping(1, 2_100);
    caller.abort();
    assert.equal((await task).reason, "Aborted");
  });

  test("a refused token is read again, once, whatever the method", async (t) => {
    const { api, transport } = await open(t, [
      { on: `POST ${path}`, reply: statusOf(401), times: 1 },
      { on: `POST ${path}`, reply: ok },
    ]);
    assert.deepEqual(await transport.json({ ...get, method: "POST", body: {} }), ok.body);
    api.use({ on: `POST ${path}`, reply: statusOf(401) });
    assert.equal((await failure(transport.json({ ...get, method: "POST", body: {} }))).status, 401);
    assert.equal(api.requests.length, 3);
  });
});

describe("our own limits", () => {
  test("requests above the rate wait for their turn", async (t) => {
    const { api, clock, transport } = await open(t, [{ on: `GET ${path}`, reply: ok }], { requestsPerSecond: 2 });
    await Promise.all([transport.json(get), transport.json(get)]);
    const third = transport.json(get);
    await clock.whenSleeping(1, 500);
    assert.equal(api.requests.length, 2);
    await clock.advance(500);
    await third;
  });

  test("close ends what is running", async (t) => {
    const { api, transport } = await open(t, [{ on: `GET ${path}`, fault: "hang" }]);
    const task = failure(transport.json(get));
    await api.seen(`GET ${path}`);
    await transport.close();
    assert.equal((await task).reason, "Aborted");
  });

  test("requests are counted by method and status", async (t) => {
    const { transport, metrics } = await open(t, [{ on: `GET ${path}`, reply: ok }]);
    await transport.json(get);
    const counter = await metrics.getSingleMetric("slipway_api_requests_total")?.get();
    assert.deepEqual(counter?.values, [{ value: 1, labels: { method: "GET", status: "200" } }]);
  });
});

describe("a stream", () => {
  test("is given out at its headers and ends with the caller's signal", async (t) => {
    const { transport } = await open(t, [{ on: `GET ${path}`, fault: "silence" }]);
    const caller = new AbortController();
    const answer = await transport.stream({ ...get, signal: caller.signal });
    const read = answer.toArray();
    caller.abort();
    await assert.rejects(read);
  });

  test("lives longer than the time of one attempt", async (t) => {
    const { api, clock, transport } = await open(t, [{ on: `GET ${path}?watch`, reply: { watch: [] } }]);
    const answer = await transport.stream({ ...get, query: { watch: "1" } });
    await clock.advance(120_000);
    api.emit(path, { type: "BOOKMARK" });
    api.endWatches(path, "close");
    assert.match(Buffer.concat(await answer.toArray()).toString(), /BOOKMARK/);
  });

  test("an error status is an ApiError", async (t) => {
    const { transport } = await open(t, [{ on: `GET ${path}`, reply: statusOf(410, { reason: "Expired" }) }]);
    const error = await failure(transport.stream(get));
    assert.deepEqual([error.status, error.reason], [410, "Expired"]);
  });
});

test("a server that is not there is status 0 and says which", async (t) => {
  const gone = await startFakeApi();
  const transport = createTransport({
    kubeconfig: gone.kubeconfig,
    clock: systemClock,
    random: Math.random,
    log: createLog({ level: "silent" }),
  });
  gone.stopListening();
  t.after(async () => {
    await transport.close();
    await gone.close();
  });
  const error = await failure(transport.json({ ...get, retry: false }));
  assert.equal(error.status, 0);
  assert.ok(error.message.includes(transport.server));
});
