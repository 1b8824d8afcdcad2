import { Duplex } from "node:stream";
import type { Clock } from "../clock.ts";
import { SlipwayError } from "../errors.ts";

/** What is used of a WebSocket of the library `ws`. */
export type TunnelSocket = {
  send(data: Buffer, done: (error?: Error) => void): void;
  ping(): void;
  pause(): void;
  resume(): void;
  close(): void;
  terminate(): void;
  on(event: "pong" | "close", listener: () => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
};

export type Tunnel = {
  readonly stream: Duplex;
  accept(frame: { readonly channel: number; readonly data: Buffer }): void;
};

const dataChannel = 0;
const errorChannel = 1;
/** Each channel begins with the port number. */
const preambleBytes = 2;
const pingMs = 15_000;
/** A pod that takes nothing for so long is no better than a broken tunnel. */
const silenceMs = 60_000;

/**
 * The stream over one port-forwarding WebSocket: the first byte of a message is the channel, 0 data, 1 errors. There is
 * no half-close: the end of what is written closes the tunnel.
 *
 * @see https://github.com/kubernetes/kubelet/blob/master/pkg/cri/streaming/portforward/websocket.go
 */
export function createTunnel(socket: TunnelSocket, needs: { readonly clock: Clock; readonly where: string }): Tunnel {
  const { clock, where } = needs;
  const ended = new AbortController();
  const preambleLeft = new Map([
    [dataChannel, preambleBytes],
    [errorChannel, preambleBytes],
  ]);
  let heardAtMs = clock.monotonicMs();
  let isPaused = false;

  const stream = new Duplex({
    read() {
      if (!isPaused) return;
      isPaused = false;
      heardAtMs = clock.monotonicMs();
      socket.resume();
    },
    write: (chunk: Buffer, _encoding, done) => socket.send(Buffer.concat([Buffer.of(dataChannel), chunk]), done),
    final(done) {
      socket.close();
      done();
    },
    destroy(error, done) {
      ended.abort();
      socket.terminate();
      done(error);
    },
  });
  const fail = (detail: string, cause?: unknown) => {
    stream.destroy(
      new SlipwayError("TUNNEL_BROKEN", `${where}: ${detail}`, cause === undefined ? undefined : { cause }),
    );
  };
  const hear = () => {
    heardAtMs = clock.monotonicMs();
  };

  socket.on("pong", hear);
  socket.on("error", (error) => fail(error.message, error));
  socket.on("close", () => {
    ended.abort();
    if (!stream.readableEnded) stream.push(null);
    stream.end();
  });
  void watchSilence();

  return {
    stream,
    accept({ channel, data }) {
      hear();
      const skipped = Math.min(preambleLeft.get(channel) ?? 0, data.length);
      preambleLeft.set(channel, (preambleLeft.get(channel) ?? 0) - skipped);
      const payload = data.subarray(skipped);
      if (payload.length === 0 || stream.destroyed) return;
      if (channel === errorChannel) return fail(payload.toString().trim());
      if (channel !== dataChannel || stream.push(payload)) return;
      isPaused = true;
      socket.pause();
    },
  };

  async function watchSilence(): Promise<void> {
    for (;;) {
      try {
        await clock.sleep(pingMs, ended.signal);
      } catch {
        return; // The tunnel has ended.
      }
      // While the reader is slow, pongs wait unread as well.
      if (!isPaused && clock.monotonicMs() - heardAtMs >= silenceMs) return fail("nothing was heard for a minute");
      socket.ping();
    }
  }
}
