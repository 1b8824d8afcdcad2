import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, get, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { createLog } from "../log.ts";
import { catalogueStreamPath, type StreamEvent } from "../registry/stream-protocol.ts";
import { backlogLimitBytes, createCatalogueStreams } from "./catalogue-stream.ts";
import { createEventHub } from "./event-hub.ts";
import { createThrottle } from "./throttle.ts";

const account = "system:serviceaccount:slipway-system:serve";
const clock = createManualClock();
const claims = { sub: account, aud: ["slipway-gateway"], exp: clock.nowMs() / 1_000 + 600 };
const token = `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;

async function start(t: TestContext) {
  const hub = createEventHub();
  const streams = createCatalogueStreams({
    hub,
    tokenReviewer: {
      review: async () => ({
        kind: "authenticated",
        username: account,
        uid: "1",
        groups: [],
        extra: {},
        audiences: ["slipway-gateway"],
      }),
    },
    namespace: "slipway-system",
    throttle: createThrottle({ clock, limit: 10 }),
    generations: () => [1],
    isReadOnly: () => false,
    bytesUsed: () => undefined,
    clock,
    log: createLog({ level: "silent" }),
  });
  const opened: { readonly response: ServerResponse; readonly ended: Promise<void> }[] = [];
  const server = createServer((request, response) => {
    const ended = streams.handle(request, response, { action: "", bytesIn: 0, bytesOut: 0 });
    opened.push({ response, ended });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    streams.end();
    server.closeAllConnections();
    server.close();
  });
  return { hub, opened, port: (server.address() as AddressInfo).port };
}

const event = (index: number): StreamEvent & { type: "pushed" } => ({
  type: "pushed",
  repository: `team-a/${"a".repeat(200)}`,
  tag: String(index),
  digest: `sha256:${"0".repeat(64)}`,
});
const turn = () => new Promise((resolve) => setImmediate(resolve));

test("a reader that does not read is cut off at the limit of its backlog, and the others are told everything", async (t) => {
  const { hub, opened, port } = await start(t);
  const stalled = connect(port, "127.0.0.1");
  stalled.pause();
  stalled.on("error", () => undefined);
  t.after(() => stalled.destroy());
  stalled.write(`GET ${catalogueStreamPath} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  while (opened[0]?.response.headersSent !== true) await turn();
  const headers = { authorization: `Bearer ${token}` };
  const sent = get({ port, path: catalogueStreamPath, headers, agent: false });
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  const lines = createInterface({ input: answer })[Symbol.asyncIterator]();
  assert.match((await lines.next()).value as string, /"hello"/);

  const [{ response, ended }] = opened as [(typeof opened)[number]];
  const length = JSON.stringify(event(0)).length;
  let published = 0;
  let peak = 0;
  // What the system holds for the two sockets comes on top of our own backlog.
  while (!response.destroyed && published * length < 8 * backlogLimitBytes) {
    // Nothing is lost where the reader keeps up: each event is read before the next is sent.
    hub.publish(event(published));
    if (!response.destroyed) peak = Math.max(peak, response.writableLength);
    assert.deepEqual(JSON.parse((await lines.next()).value as string), event(published));
    published++;
  }
  assert.ok(response.destroyed, "it was never cut off");
  assert.ok(peak <= backlogLimitBytes && peak > backlogLimitBytes / 2, `${peak}`);
  await ended;
  hub.publish(event(published));
  assert.deepEqual(JSON.parse((await lines.next()).value as string), event(published));
  sent.destroy();
});
