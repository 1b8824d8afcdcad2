import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { createForwarder, defaultForwardLimits, type ForwardLimits, type ForwardOutcome } from "./forward.ts";

async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A gateway's part that sends content, behind a plain server, in front of the server at `port`. */
async function front(t: TestContext, port: number, limits: ForwardLimits = defaultForwardLimits) {
  const forwarder = createForwarder({ url: `http://127.0.0.1:${port}`, limits });
  const outcomes: (ForwardOutcome | undefined)[] = [];
  const ended = Promise.withResolvers<void>();
  const server = createServer((incoming, response) => {
    const record = { action: "test", bytesIn: 0, bytesOut: 0 };
    const order = { request: incoming, response, target: incoming.url ?? "/", record, isContent: true };
    forwarder.forward(order).then((outcome) => {
      outcomes.push(outcome);
      ended.resolve();
    }, ended.reject);
  });
  const url = `http://127.0.0.1:${await listen(t, server)}`;
  t.after(() => {
    forwarder.close();
    server.closeAllConnections();
  });
  return { url, outcomes, ended: ended.promise };
}

/** An HTTP server as the registry. */
async function registry(t: TestContext, answer: (incoming: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(answer);
  t.after(() => server.closeAllConnections());
  return listen(t, server);
}

/** A registry that answers bytes of our choice to each request; it counts connections. */
async function wire(t: TestContext, answer: (socket: Socket, request: string, index: number) => void) {
  const seen = { connections: 0, requests: 0 };
  const server = createTcpServer((socket) => {
    seen.connections++;
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => answer(socket, bytes.toString("latin1"), seen.requests++));
    t.after(() => socket.destroy());
  });
  return { port: await listen(t, server), seen };
}

const digest = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

describe("content", () => {
  test("arrives whole, at a client that is slow and at others at the same time", async (t) => {
    const blobs = Array.from({ length: 4 }, () => randomBytes(3 * 1024 * 1024 + 17));
    const port = await registry(t, (incoming, response) => {
      const blob = blobs[Number(incoming.url?.slice(1))] ?? Buffer.alloc(0);
      response.writeHead(200, { "content-length": blob.length }).end(blob);
    });
    const { url } = await front(t, port);
    const pull = async (index: number, isSlow: boolean) => {
      const asked = request(`${url}/${index}`, { agent: false }).end();
      const [answer] = (await once(asked, "response")) as [IncomingMessage];
      const hash = createHash("sha256");
      for await (const part of answer) {
        hash.update(part as Buffer);
        if (isSlow) await new Promise((resolve) => setImmediate(resolve));
      }
      return hash.digest("hex");
    };
    const pulled = await Promise.all(blobs.flatMap((_, index) => [pull(index, true), pull(index, false)]));
    assert.deepEqual(
      pulled,
      blobs.flatMap((blob) => [digest(blob), digest(blob)]),
    );
  });

  test("comes over one connection again and again", async (t) => {
    const { port, seen } = await wire(t, (socket, _request, index) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${String(index).padStart(2, "0")}`);
    });
    const { url } = await front(t, port);
    for (const want of ["00", "01", "02"]) assert.equal(await (await fetch(url)).text(), want);
    assert.equal(seen.connections, 1);
  });

  test("a head that comes in pieces is a head", async (t) => {
    const { port } = await wire(t, (socket) => {
      const bytes = [..."HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b\r\n\r\nabc"];
      const next = () => {
        const byte = bytes.shift();
        if (byte !== undefined) socket.write(byte, () => setImmediate(next));
      };
      next();
    });
    const { url } = await front(t, port);
    const answer = await fetch(url);
    assert.equal(answer.headers.get("x-a"), "b");
    assert.equal(await answer.text(), "abc");
  });

  test("in chunks comes as well, and the connection is kept", async (t) => {
    const { port, seen } = await wire(t, (socket) => {
      const coded = "4\r\nnot \r\n5\r\nthere\r\n0\r\n\r\n";
      socket.write(`HTTP/1.1 203 Other\r\nTransfer-Encoding: chunked\r\n\r\n${coded}`);
    });
    const { url } = await front(t, port);
    for (let index = 0; index < 2; index++) {
      const answer = await fetch(url);
      assert.equal(answer.status, 203);
      assert.equal(await answer.text(), "not there");
    }
    assert.deepEqual(seen, { connections: 1, requests: 2 });
  });

  test("that ends with its connection is asked for once more, and comes", async (t) => {
    const { port, seen } = await wire(t, (socket) => socket.end("HTTP/1.1 200 OK\r\n\r\nto the end"));
    const { url } = await front(t, port);
    assert.equal(await (await fetch(url)).text(), "to the end");
    assert.equal(seen.requests, 2);
  });

  test("the answer to HEAD has the length and no body", async (t) => {
    const port = await registry(t, (_incoming, response) => response.writeHead(200, { "content-length": 77 }).end());
    const { url, outcomes, ended } = await front(t, port);
    const answer = await fetch(url, { method: "HEAD" });
    assert.equal(answer.headers.get("content-length"), "77");
    await ended;
    assert.equal(outcomes[0]?.status, 200);
  });

  test("Range goes to the registry and its answer to the client", async (t) => {
    const port = await registry(t, (incoming, response) => {
      response.writeHead(206, { "content-length": 3, "content-range": `${incoming.headers.range}/9` }).end("def");
    });
    const { url } = await front(t, port);
    const answer = await fetch(url, { headers: { range: "bytes=3-5" } });
    assert.deepEqual([answer.status, answer.headers.get("content-range")], [206, "bytes=3-5/9"]);
    assert.equal(await answer.text(), "def");
  });

  for (const [status, code, headers] of [
    [416, "RANGE_INVALID", { "content-type": "text/plain", "content-range": "bytes */9" }],
    [404, "NOT_FOUND", { "content-type": "text/html" }],
    [405, "UNSUPPORTED", {}],
    [500, "UNAVAILABLE", { "content-type": "text/plain" }],
  ] as const) {
    test(`a fault in plain text is ${code} in an OCI error body, and the connection is kept: ${status}`, async (t) => {
      let count = 0;
      const port = await registry(t, (_incoming, response) => {
        count++;
        response.writeHead(status, headers).end("something of the registry's own");
      });
      const { url, outcomes, ended } = await front(t, port);
      const answer = await fetch(url);
      assert.equal(answer.status, status);
      assert.equal(((await answer.json()) as { errors: { code: string }[] }).errors[0]?.code, code);
      assert.equal(answer.headers.get("content-range"), "content-range" in headers ? "bytes */9" : null);
      await ended;
      assert.deepEqual([outcomes[0]?.status, count], [status, 1]);
    });
  }

  test("a fault with an OCI error body goes on as it is", async (t) => {
    const body = JSON.stringify({ errors: [{ code: "BLOB_UNKNOWN", message: "blob unknown", detail: "sha256:a" }] });
    const port = await registry(t, (_incoming, response) => {
      response.writeHead(404, { "content-type": "application/json" }).end(body);
    });
    const { url } = await front(t, port);
    assert.equal(await (await fetch(url)).text(), body);
  });

  test("a registry that goes away in the middle breaks off at the client, too", async (t) => {
    const { port } = await wire(t, (socket) => {
      socket.end("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
    const { url, outcomes, ended } = await front(t, port);
    const answer = await fetch(url);
    await assert.rejects(answer.text());
    await ended;
    assert.deepEqual(outcomes, [undefined]);
  });

  test("more than the length that was said breaks off and is never part of another answer", async (t) => {
    const { port, seen } = await wire(t, (socket, _request, index) => {
      const rest = index === 0 ? "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged" : "";
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n0${index}${rest}`);
    });
    const { url } = await front(t, port);
    await assert.rejects(async () => await (await fetch(url)).text());
    assert.equal(await (await fetch(url)).text(), "01");
    assert.equal(seen.connections, 2);
  });

  test("a registry that is not there is 502 with an OCI error body", async (t) => {
    const { port } = await wire(t, (socket) => socket.resetAndDestroy());
    const { url } = await front(t, port);
    const answer = await fetch(url);
    assert.equal(answer.status, 502);
    assert.equal(((await answer.json()) as { errors: { code: string }[] }).errors[0]?.code, "UNAVAILABLE");
  });

  test("a fault in plain text whose body does not come is told all the same", async (t) => {
    const { port } = await wire(t, (socket) => {
      socket.end("HTTP/1.1 412 Precondition Failed\r\nContent-Length: 100\r\nConnection: close\r\n\r\n");
    });
    const answer = await fetch((await front(t, port)).url);
    assert.equal(answer.status, 412);
    assert.equal(((await answer.json()) as { errors: { code: string }[] }).errors[0]?.code, "UNSUPPORTED");
  });

  test("a kept connection that was closed meanwhile is replaced without the client noticing", async (t) => {
    const { port, seen } = await wire(t, (socket, _request, index) => {
      if (index === 1) socket.resetAndDestroy();
      else socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    const { url } = await front(t, port);
    assert.equal(await (await fetch(url)).text(), "ok");
    assert.equal(await (await fetch(url)).text(), "ok");
    assert.deepEqual(seen, { connections: 2, requests: 3 });
  });

  test("a client that goes away ends the registry's work for it, and the next is served", async (t) => {
    const gone = Promise.withResolvers<void>();
    const { port } = await wire(t, (socket, _request, index) => {
      if (index > 0) return void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      socket.once("close", () => gone.resolve());
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n${"x".repeat(100_000)}`);
    });
    const { url, outcomes, ended } = await front(t, port);
    const leave = new AbortController();
    const answer = await fetch(url, { signal: leave.signal });
    assert.equal(answer.status, 200);
    leave.abort();
    await gone.promise;
    await ended;
    assert.deepEqual(outcomes, [undefined]);
    assert.equal(await (await fetch(url)).text(), "ok");
  });

  test("a registry that says nothing for too long is 502", async (t) => {
    const { port } = await wire(t, () => undefined);
    const { url } = await front(t, port, { idleMs: 10_000, answerMs: 50 });
    assert.equal((await fetch(url)).status, 502);
  });

  test("a registry that falls silent on a kept connection is not asked again", async (t) => {
    const silent = Promise.withResolvers<void>();
    const { port, seen } = await wire(t, (socket, _request, index) => {
      if (index === 0) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      else silent.resolve();
    });
    const answerMs = 50;
    const { url } = await front(t, port, { idleMs: 10_000, answerMs });
    // The limit is over when the test says so, and not while the first answer is under way.
    t.mock.timers.enable({ apis: ["setTimeout"] });
    assert.equal(await (await fetch(url)).text(), "ok");
    const second = fetch(url);
    await silent.promise;
    t.mock.timers.tick(answerMs);
    assert.equal((await second).status, 502);
    assert.deepEqual(seen, { connections: 1, requests: 2 });
  });

  test("a registry that stops in the middle is cut off", async (t) => {
    const { port } = await wire(t, (socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
    const { url } = await front(t, port, { idleMs: 50, answerMs: 10_000 });
    const answer = await fetch(url);
    await assert.rejects(answer.text());
  });

  test("what the client sent is what the registry gets, without what ends at a hop or steers links", async (t) => {
    const seen: IncomingMessage["headers"][] = [];
    const port = await registry(t, (incoming, response) => {
      seen.push(incoming.headers);
      response.writeHead(200, { "content-length": 0 }).end();
    });
    const { url } = await front(t, port);
    const headers = {
      host: "registry.example.com",
      accept: ["a/b", "c/d"],
      authorization: "Bearer x",
      "content-length": 3,
      connection: "close, x-private",
      "x-private": "1",
      "x-forwarded-host": "evil.example.com",
      forwarded: "host=evil.example.com",
    };
    const asked = request(url, { headers, agent: false }).end("abc");
    await once(asked, "response");
    const { "x-forwarded-for": address, ...rest } = seen[0] ?? {};
    assert.equal(address, "127.0.0.1");
    assert.deepEqual(rest, {
      host: "registry.example.com",
      accept: "a/b, c/d",
      authorization: "Bearer x",
      "x-forwarded-proto": "https",
    });
  });
});
