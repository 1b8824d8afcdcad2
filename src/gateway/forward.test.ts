import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { createForwarder, defaultForwardLimits, type ForwardLimits, type ForwardOutcome } from "./forward.ts";

async function listen(t: TestContext, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A forwarder behind a plain server, in front of `upstream`. */
async function front(
  t: TestContext,
  upstream: (request: IncomingMessage, response: ServerResponse) => void,
  limits: ForwardLimits = defaultForwardLimits,
) {
  const url = await listen(t, createServer(upstream));
  const forwarder = createForwarder({ url, limits });
  t.after(() => forwarder.close());
  const outcomes: (ForwardOutcome | undefined)[] = [];
  const ended = Promise.withResolvers<void>();
  const server = createServer((incoming, response) => {
    const record = { action: "test", bytesIn: 0, bytesOut: 0 };
    forwarder.forward({ request: incoming, response, target: incoming.url ?? "/", record }).then((outcome) => {
      outcomes.push(outcome);
      ended.resolve();
    }, ended.reject);
  });
  return { url: await listen(t, server), outcomes, ended: ended.promise };
}

test("Host stays, X-Forwarded-Proto is set when absent and kept when it is there, what steers links is dropped", async (t) => {
  const seen: IncomingMessage["headers"][] = [];
  const { url } = await front(t, (incoming, response) => {
    seen.push(incoming.headers);
    response.end();
  });
  const host = "registry.example.com:5443";
  const steering = {
    forwarded: "host=evil.example.com",
    "x-forwarded-host": "evil.example.com",
    "x-forwarded-port": "1",
  };
  const ask = (headers: Record<string, string>) =>
    new Promise((resolve) => request(url, { headers: { host, ...headers }, agent: false }, resolve).end());
  await ask(steering);
  await ask({ "x-forwarded-proto": "http" });
  await ask({ "x-forwarded-proto": "javascript" });
  await ask({ "x-forwarded-proto": "HTTP, https" });
  await ask({ "x-forwarded-proto": "https,http" });
  assert.deepEqual(
    seen.map((headers) => headers["x-forwarded-proto"]),
    ["https", "http", "https", "http", "https"],
  );
  assert.ok(seen.every((headers) => headers.host === host));
  for (const name of Object.keys(steering)) assert.equal(seen[0]?.[name], undefined, name);
});

test("a registry that is not there is 502 with an OCI error body", async (t) => {
  const { url } = await front(t, (incoming) => incoming.socket.destroy());
  const answer = await fetch(url);
  assert.equal(answer.status, 502);
  assert.equal(((await answer.json()) as { errors: { code: string }[] }).errors[0]?.code, "UNAVAILABLE");
});

test("a kept connection that was closed meanwhile is replaced without the client noticing", async (t) => {
  let count = 0;
  const { url } = await front(t, (incoming, response) => {
    count++;
    // The second request comes over the connection of the first, which ends at that moment.
    if (count === 2) incoming.socket.resetAndDestroy();
    else response.end("ok");
  });
  assert.equal(await (await fetch(url)).text(), "ok");
  assert.equal(await (await fetch(url)).text(), "ok");
  assert.equal(count, 3);
});

test("an answer that breaks off in the middle breaks off at the client, too", async (t) => {
  const { url, outcomes, ended } = await front(t, (incoming, response) => {
    response.writeHead(200, { "content-length": "100" });
    response.write("half", () => incoming.socket.destroy());
  });
  const answer = await fetch(url);
  await assert.rejects(answer.text());
  await ended;
  assert.deepEqual(outcomes, [undefined]);
});

test("a refusal before the end of an upload reaches the client", async (t) => {
  const { url } = await front(t, (_incoming, response) => response.writeHead(413).end("too large"));
  const answer = await fetch(url, { method: "PUT", body: Buffer.alloc(8 * 1024 * 1024) });
  assert.equal(answer.status, 413);
  assert.match(await answer.text(), /^{"errors":\[{"code":"UNSUPPORTED"/);
});

test("a client that stops sending is told so, and its upload does not look complete", async (t) => {
  const broken = Promise.withResolvers<boolean>();
  const { url, ended } = await front(
    t,
    (incoming) => {
      incoming.resume();
      incoming.once("close", () => broken.resolve(!incoming.complete));
    },
    { idleMs: 50, answerMs: 60_000 },
  );
  const sent = request(url, { method: "PUT", headers: { "content-length": 100 }, agent: false });
  sent.once("error", () => undefined);
  sent.write("half");
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  assert.equal(answer.statusCode, 408);
  assert.match(Buffer.concat(await answer.toArray()).toString(), /^{"errors":\[{"code":"UNSUPPORTED"/);
  await ended;
  assert.equal(await broken.promise, true);
  sent.destroy();
});

test("a client that leaves in the middle of a fault ends its exchange", async (t) => {
  const asked = Promise.withResolvers<ServerResponse>();
  const { url, outcomes, ended } = await front(t, (_incoming, response) => {
    response.writeHead(404, { "content-type": "application/json", "content-length": 100 }).write("{");
    asked.resolve(response);
  });
  const sent = request(url, { agent: false }).end();
  sent.once("error", () => undefined);
  const upstream = await asked.promise;
  const gone = once(upstream, "close");
  sent.destroy();
  await gone;
  await ended;
  assert.deepEqual(outcomes, [undefined]);
});

test("an answer may take longer than a client may pause", async (t) => {
  const { url } = await front(t, (_incoming, response) => void setTimeout(() => response.end("committed"), 900), {
    idleMs: 300,
    answerMs: 60_000,
  });
  assert.equal(await (await fetch(url, { method: "PUT", body: "x" })).text(), "committed");
});

test("for a client that has left before its turn the registry is not asked", async (t) => {
  let asked = 0;
  const url = await listen(
    t,
    createServer((_incoming, response) => {
      asked += 1;
      response.end();
    }),
  );
  const forwarder = createForwarder({ url });
  t.after(() => forwarder.close());
  const outcome = Promise.withResolvers<ForwardOutcome | undefined>();
  const server = createServer((incoming, response) => {
    const order = { request: incoming, response, target: "/", record: { action: "test", bytesIn: 0, bytesOut: 0 } };
    response.once("close", () => forwarder.forward(order).then(outcome.resolve, outcome.reject));
    client.destroy();
  });
  const client = request(await listen(t, server), { agent: false }).end();
  client.once("error", () => undefined);
  assert.equal(await outcome.promise, undefined);
  assert.equal(asked, 0);
});

test("a client that leaves while a kept connection is used is not asked for again", async (t) => {
  const asked: string[] = [];
  const arrived = Promise.withResolvers<void>();
  const { url, outcomes } = await front(t, (incoming, response) => {
    asked.push(incoming.url ?? "");
    if (incoming.url === "/first") response.end();
    else arrived.resolve();
  });
  assert.equal((await fetch(`${url}/first`)).status, 200);
  const client = request(`${url}/second`, { agent: false }).end();
  client.once("error", () => undefined);
  await arrived.promise;
  client.destroy();
  while (outcomes.length < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(asked, ["/first", "/second"]);
});
