import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { describe, type TestContext, test } from "node:test";
import { startFakeApi } from "../../test/fake/api-server.ts";
import { createManualClock } from "../../test/fake/clock.ts";
import type { FakeWebSocket } from "../../test/fake/web-socket.ts";
import { SlipwayError } from "../errors.ts";
import { createLog } from "../log.ts";
import { createPortForward } from "./port-forward.ts";

const preamble = Buffer.from([0x43, 0x15]);

async function open(t: TestContext, pod?: (socket: FakeWebSocket) => void) {
  const paths: string[] = [];
  const onWebSocket = (path: string, socket: FakeWebSocket) => {
    paths.push(path);
    socket.send(0, preamble);
    socket.send(1, preamble);
    pod?.(socket);
  };
  const api = await startFakeApi([], pod === undefined ? {} : { onWebSocket });
  t.after(() => api.close());
  const clock = createManualClock();
  const forward = createPortForward({ kubeconfig: api.kubeconfig, clock, log: createLog({ level: "silent" }) });
  return { api, clock, forward, paths };
}

const echo = (socket: FakeWebSocket) => socket.onMessage((message) => socket.send(0, message.subarray(1)));

function isBroken(pattern: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof SlipwayError && error.code === "TUNNEL_BROKEN" && pattern.test(error.message);
}

describe("a tunnel to a pod", () => {
  test("carries bytes both ways, without the port numbers that each channel begins with", async (t) => {
    const { forward, paths } = await open(t, echo);
    const stream = await forward.connect("slipway-system", "registry-0", 5443);
    stream.write("hello");
    const [chunk] = await once(stream, "data");
    assert.equal(String(chunk), "hello");
    assert.deepEqual(paths, ["/api/v1/namespaces/slipway-system/pods/registry-0/portforward?ports=5443"]);
    stream.destroy();
  });

  test("carries megabytes to a slow reader", async (t) => {
    const { forward } = await open(t, echo);
    const stream = await forward.connect("a", "p", 1);
    const sent = randomBytes(3_000_000);
    stream.write(sent);
    const received: Buffer[] = [];
    let size = 0;
    for await (const chunk of stream) {
      received.push(chunk as Buffer);
      size += (chunk as Buffer).length;
      await new Promise((resolve) => setImmediate(resolve));
      if (size === sent.length) break;
    }
    assert.ok(Buffer.concat(received).equals(sent));
  });

  test("ends when the pod closes", async (t) => {
    const { forward } = await open(t, (socket) => {
      socket.send(0, "bye");
      socket.end();
    });
    assert.equal(await text(await forward.connect("a", "p", 1)), "bye");
  });

  test("breaks with what the error channel says", async (t) => {
    const { forward } = await open(t, (socket) => socket.send(1, "connection refused"));
    const stream = await forward.connect("a", "p", 1);
    const [error] = await once(stream, "error");
    assert.ok(isBroken(/pod a\/p, port 1: connection refused/)(error));
  });

  test("breaks after a minute in which not even a ping was answered", async (t) => {
    const { clock, forward } = await open(t, (socket) => socket.ignorePings());
    const stream = await forward.connect("a", "p", 1);
    stream.resume();
    const broken = once(stream, "error");
    await clock.advance(75_000);
    assert.ok(isBroken(/nothing was heard/)((await broken)[0]));
  });

  test("that cannot be opened says why", async (t) => {
    const { forward } = await open(t);
    await assert.rejects(forward.connect("a", "p", 1), isBroken(/404/));
  });
});

describe("a local port", () => {
  test("gives each connection a tunnel of its own and finds the pod anew", async (t) => {
    const { forward, paths } = await open(t, echo);
    const end = new AbortController();
    let pods = 0;
    const { port } = await forward.listen("a", async () => `p${++pods}`, 80, end.signal);
    for (const word of ["one", "two"]) {
      const client = connect(port, "127.0.0.1");
      client.write(word);
      assert.equal(String((await once(client, "data"))[0]), word);
      client.end();
      await once(client, "close");
    }
    assert.deepEqual(
      paths.map((path) => path.split("/")[6]),
      ["p1", "p2"],
    );
    end.abort();
    const late = connect(port, "127.0.0.1");
    assert.equal((await once(late, "error"))[0].code, "ECONNREFUSED");
  });

  test("closes a connection whose tunnel cannot be opened", async (t) => {
    const { forward } = await open(t);
    const end = new AbortController();
    t.after(() => end.abort());
    const { port } = await forward.listen("a", "p", 80, end.signal);
    const client = connect(port, "127.0.0.1");
    client.on("error", () => undefined); // A reset is as good as an end here.
    await once(client, "close");
  });
});
