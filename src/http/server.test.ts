import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { before, describe, test } from "node:test";
import { connect } from "node:tls";
import { createManualClock } from "../../test/fake/clock.ts";
import { createLog } from "../log.ts";
import { type CertificatePair, certificateNames } from "../tls/certificate.ts";
import { issueAuthority, issueLeaf } from "../tls/issue.ts";
import { createHttpsServer, type HttpHandler, type HttpsServerNeeds } from "./server.ts";

const log = createLog({ level: "silent" });
const names = certificateNames(["localhost", "127.0.0.1"]);
let authority: CertificatePair;
let first: CertificatePair;
let second: CertificatePair;
before(async () => {
  const nowMs = Date.now();
  authority = await issueAuthority({ commonName: "test", nowMs });
  first = await issueLeaf({ authority, commonName: "first", names, nowMs });
  second = await issueLeaf({ authority, commonName: "second", names, nowMs });
});

/** A certificate that the test changes. */
function createSource(initial?: CertificatePair) {
  let pair = initial;
  const handlers: (() => void)[] = [];
  return {
    current: () => pair,
    onChange: (handler: () => void) => void handlers.push(handler),
    set(next: CertificatePair) {
      pair = next;
      for (const handler of handlers) handler();
    },
  };
}

async function start(handler: HttpHandler, needs: Partial<HttpsServerNeeds> = {}) {
  const clock = createManualClock();
  const certificate = createSource(first);
  const server = createHttpsServer({
    name: "test",
    handler,
    port: 0,
    host: "127.0.0.1",
    certificate,
    clock,
    log,
    ...needs,
  });
  const stop = new AbortController();
  const running = server.run(stop.signal);
  const listening = async () => {
    while (!server.ready()) await new Promise((resolve) => setImmediate(resolve));
  };
  if (needs.certificate === undefined) await listening();
  return { server, clock, certificate, running, listening, stop: () => stop.abort() };
}

function ask(port: number, options: { readonly agent?: Agent; readonly path?: string } = {}) {
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number;
    headers: IncomingMessage["headers"];
    body: string;
  }>();
  const ca = authority.certificate;
  request({ host: "127.0.0.1", port, ca, agent: options.agent ?? false, path: options.path ?? "/" }, (answer) => {
    answer
      .toArray()
      .then(
        (chunks) =>
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks).toString() }),
        reject,
      );
  })
    .once("error", reject)
    .end();
  return promise;
}

async function servedName(port: number): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port, ca: authority.certificate });
  await once(socket, "secureConnect");
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return String(subject.CN);
}

function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
}

describe("the https server", () => {
  test("waits for its first certificate", async () => {
    const certificate = createSource();
    const { server, listening, stop, clock, running } = await start((_request, response) => response.end("ok"), {
      certificate,
    });
    assert.equal(server.ready(), false);
    assert.equal(server.port(), undefined);
    certificate.set(first);
    await listening();
    assert.equal((await ask(server.port() ?? 0)).body, "ok");
    stop();
    await clock.advance(60_000);
    await running;
  });

  test("speaks with who offers HTTP/1.0 alone, and with who offers nothing", async () => {
    const { server, stop, running, clock } = await start((_request, response) => response.end("ok"));
    for (const [offered, chosen] of [
      [["h2", "http/1.1"], "http/1.1"],
      [["http/1.0"], "http/1.0"],
      [undefined, false],
    ] as const) {
      const ca = authority.certificate;
      const protocols = offered === undefined ? {} : { ALPNProtocols: [...offered] };
      const socket = connect({ host: "127.0.0.1", port: server.port() ?? 0, ca, ...protocols });
      await once(socket, "secureConnect");
      assert.equal(socket.alpnProtocol, chosen);
      socket.destroy();
    }
    stop();
    await clock.advance(60_000);
    await running;
  });

  test("serves a new certificate without a restart, and keeps the old one when the new one is broken", async () => {
    const { server, certificate, stop, clock, running } = await start((_request, response) => response.end());
    const port = server.port() ?? 0;
    assert.equal(await servedName(port), "first");
    certificate.set(second);
    assert.equal(await servedName(port), "second");
    certificate.set({ certificate: first.certificate, key: second.key });
    assert.equal(await servedName(port), "second");
    stop();
    await clock.advance(60_000);
    await running;
  });

  test("answers 500 for a handler that throws or rejects, without a word about why", async () => {
    const { server, stop, clock, running } = await start(async (incoming) => {
      if (incoming.url === "/throw") throw new Error("the password is secret");
      await Promise.reject(new Error("the password is secret"));
    });
    for (const path of ["/throw", "/reject"]) {
      const answer = await ask(server.port() ?? 0, { path });
      assert.equal(answer.status, 500);
      assert.doesNotMatch(answer.body, /secret/);
    }
    stop();
    await clock.advance(60_000);
    await running;
  });

  test("says it in the caller's words where there are some", async () => {
    const rejection = (status: number) => ({ contentType: "application/json", body: `{"status":${status}}` });
    const { server, stop, clock, running } = await start(() => Promise.reject(new Error("x")), { rejection });
    const { status, headers, body } = await ask(server.port() ?? 0);
    assert.deepEqual([status, headers["content-type"], body], [500, "application/json", '{"status":500}']);
    stop();
    await clock.advance(60_000);
    await running;
  });

  test("headers that do not come in time end the connection soon after it", { timeout: 60_000 }, async () => {
    const { server, stop, clock, running } = await start((_request, response) => response.end(), {
      limits: { headersTimeoutMs: 200 },
    });
    const socket = connect({ host: "127.0.0.1", port: server.port() ?? 0, ca: authority.certificate });
    await once(socket, "secureConnect");
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n");
    const closed = once(socket, "close");
    socket.resume();
    await closed;
    stop();
    await clock.advance(60_000);
    await running;
  });

  test("at a stop it answers on with Connection: close, then lets what is running end", async () => {
    const held = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    let drained = 0;
    const { server, stop, clock, running } = await start(
      async (incoming, response) => {
        if (incoming.url === "/slow") arrived.resolve();
        if (incoming.url === "/slow") await held.promise;
        response.end("done");
      },
      { onDrain: () => drained++ },
    );
    const port = server.port() ?? 0;
    const agent = new Agent({ keepAlive: true });
    assert.equal((await ask(port, { agent })).headers.connection, "keep-alive");
    const slow = ask(port, { path: "/slow" });
    await arrived.promise;
    stop();
    await clock.whenSleeping();
    assert.equal(server.ready(), false);
    assert.equal(drained, 1);
    const late = await ask(port);
    assert.deepEqual([late.status, late.headers.connection], [200, "close"]);
    await clock.advance(5_000);
    held.resolve();
    assert.equal((await slow).body, "done");
    await running;
    agent.destroy();
  });

  test("a client that reads slowly is told by a reset, whatever is still to be sent to it", async () => {
    const running = await start((_request, response) => {
      response.write(Buffer.alloc(32 * 1024 * 1024));
    });
    const socket = connect({ host: "127.0.0.1", port: running.server.port() ?? 0, ca: authority.certificate });
    await once(socket, "secureConnect");
    const reset = once(socket, "close").catch((error: NodeJS.ErrnoException) => error.code);
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await once(socket, "readable");
    running.stop();
    await running.clock.whenSleeping();
    await running.clock.advance(5_000);
    await running.clock.whenSleeping();
    await running.clock.advance(20_000);
    await running.running;
    socket.resume();
    assert.equal(await reset, "ECONNRESET");
  });

  test("what does not end within the grace period is cut", async () => {
    const arrived = Promise.withResolvers<void>();
    const { server, stop, clock, running } = await start(() => {
      arrived.resolve();
      return new Promise(() => undefined);
    });
    const hanging = assert.rejects(ask(server.port() ?? 0));
    await arrived.promise;
    stop();
    await clock.whenSleeping();
    await clock.advance(5_000);
    await clock.whenSleeping();
    await clock.advance(20_000);
    await running;
    await hanging;
  });

  test("a connection that is ending by itself when the rest is cut leaves nothing behind", {
    timeout: 60_000,
  }, async () => {
    const atRest = openSockets();
    const { server, clock, running, stop } = await start(async (_request, response) => {
      // Its end has begun then, and takes a turn of the event loop.
      response.once("finish", () => clock.advance(20_000));
      stop();
      await clock.whenSleeping();
      await clock.advance(5_000);
      await clock.whenSleeping();
      response.writeHead(200, { Connection: "close" }).end("done");
    });
    const answered = ask(server.port() ?? 0);
    await running;
    assert.equal((await answered).body, "done");
    while (openSockets() > atRest) await new Promise((resolve) => setImmediate(resolve));
  });

  test("one client address has a limited number of connections", async () => {
    const { server, stop, clock, running } = await start((_request, response) => response.end(), {
      limits: { connectionsPerClient: 2 },
    });
    const port = server.port() ?? 0;
    const open = () => {
      const socket = connect({ host: "127.0.0.1", port, ca: authority.certificate });
      return once(socket, "secureConnect").then(() => socket);
    };
    const sockets = [await open(), await open()];
    await assert.rejects(open());
    sockets[0]?.destroy();
    for (const socket of sockets) socket.destroy();
    stop();
    await clock.advance(60_000);
    await running;
  });
});
