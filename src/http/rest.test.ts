import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { limitRest } from "./rest.ts";

async function serve(t: TestContext, limitMs: number): Promise<number> {
  const server = createServer((incoming, response) => {
    limitRest(incoming, response, limitMs);
    incoming.resume();
    response.writeHead(413).end("no");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test("a request that goes on without an end is answered, then cut off", async (t) => {
  const sent = request({
    port: await serve(t, 50),
    method: "PUT",
    headers: { "transfer-encoding": "chunked" },
    agent: false,
  });
  const ended = once(sent, "close");
  sent.on("error", () => undefined);
  sent.write("x");
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  assert.equal(answer.statusCode, 413);
  answer.resume();
  await ended;
});

test("a request that ends after its answer leaves the connection as it is", async (t) => {
  const limitMs = 200;
  const port = await serve(t, limitMs);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const sockets = new Set<unknown>();
  for (let index = 0; index < 3; index++) {
    const sent = request({ port, method: "PUT", headers: { "content-length": 2 }, agent });
    sent.once("socket", (socket) => sockets.add(socket));
    sent.write("x");
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    sent.end("y");
    assert.equal((await answer.toArray()).join(""), "no");
    // Long enough for a timer that was left behind to cut the connection.
    await new Promise((resolve) => setTimeout(resolve, limitMs * 1.5));
  }
  assert.equal(sockets.size, 1);
});
