import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, request } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { type TestContext, test } from "node:test";
import { limitRest } from "./rest.ts";

async function serve(t: TestContext, limitMs: number, seen?: (incoming: IncomingMessage) => void): Promise<number> {
  const server = createServer((incoming, response) => {
    seen?.(incoming);
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

/** Sends bytes as they are over a connection that only the server ends. */
async function open(t: TestContext, port: number, text: string) {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  t.after(() => socket.destroy());
  socket.on("error", () => undefined);
  const closed = new Promise((resolve) => socket.once("end", resolve).once("close", resolve));
  await once(socket, "connect");
  socket.write(text);
  const [answer] = (await once(socket, "data")) as [Buffer];
  socket.resume();
  return { socket, closed, answer: answer.toString() };
}

for (const wanted of ["keep-alive", "close"]) {
  const head = `PUT / HTTP/1.1\r\nHost: x\r\nConnection: ${wanted}\r\n`;

  test(`a request that goes on without an end is answered, then cut off: ${wanted}`, async (t) => {
    const port = await serve(t, 100);
    const { closed, answer } = await open(t, port, `${head}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n`);
    assert.match(answer, /^HTTP\/1\.1 413 /);
    await closed;
  });
}

test("who wants one answer alone may send the rest of its request behind it, and is not reset", async (t) => {
  const requests: IncomingMessage[] = [];
  const port = await serve(t, 600_000, (incoming) => requests.push(incoming));
  const head = "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n";
  const { socket, closed, answer } = await open(t, port, `${head}01234`);
  assert.match(answer, /^HTTP\/1\.1 413 /);
  socket.write("56789");
  await closed;
  assert.equal(requests[0]?.complete, true);
});

test("who wants one answer alone is told the end with it where the request has ended", async (t) => {
  const head = "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\n";
  const { closed } = await open(t, await serve(t, 600_000), `${head}01234`);
  await closed;
});

test("a request that ends after its answer leaves the connection as it is", async (t) => {
  const limitMs = 200;
  let read = Promise.withResolvers<void>();
  const port = await serve(t, limitMs, (incoming) => incoming.once("end", () => read.resolve()));
  t.mock.timers.enable({ apis: ["setTimeout"] });
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
    await read.promise;
    read = Promise.withResolvers<void>();
    // A timer that was left behind would cut the connection now.
    t.mock.timers.tick(limitMs);
  }
  assert.equal(sockets.size, 1);
});
