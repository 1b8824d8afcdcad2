import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

/** The server's end of a WebSocket, as little of RFC 6455 as the tests of port forwarding need. */
export type FakeWebSocket = {
  /** Binary messages that begin with the channel's number. */
  send(channel: number, data: Buffer | string): void;
  onMessage(handler: (data: Buffer) => void): void;
  /** Without it pings are answered. */
  ignorePings(): void;
  end(): void;
};

/** Answers the handshake with the last of the protocols that the client offers. */
export function acceptWebSocket(request: IncomingMessage, socket: Duplex): FakeWebSocket {
  const accept = createHash("sha1")
    .update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64");
  const protocol = request.headers["sec-websocket-protocol"]?.split(",").at(-1)?.trim() ?? "";
  const head = ["HTTP/1.1 101 Switching Protocols", "upgrade: websocket", "connection: Upgrade"];
  socket.write(
    [...head, `sec-websocket-accept: ${accept}`, `sec-websocket-protocol: ${protocol}`, "", ""].join("\r\n"),
  );

  const handlers: ((data: Buffer) => void)[] = [];
  let answersPings = true;
  let rest = Buffer.alloc(0);
  const write = (opcode: number, data: Buffer) => {
    const size = data.length;
    const length = size < 126 ? Buffer.of(size) : Buffer.of(126, size >> 8, size & 0xff);
    socket.write(Buffer.concat([Buffer.of(0x80 | opcode), length, data]));
  };
  socket.on("error", () => socket.destroy());
  const act = (opcode: number, data: Buffer) => {
    if (opcode === 2) for (const handler of handlers) handler(data);
    if (opcode === 9 && answersPings) write(10, data);
    if (opcode === 8) socket.end();
  };
  socket.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    for (let frame = readFrame(rest); frame !== undefined; frame = readFrame(rest)) {
      rest = rest.subarray(frame.size);
      act(frame.opcode, frame.data);
    }
  });
  return {
    send(channel, data) {
      const bytes = Buffer.from(data);
      for (let at = 0; at < bytes.length; at += 60_000) {
        write(2, Buffer.concat([Buffer.of(channel), bytes.subarray(at, at + 60_000)]));
      }
    },
    onMessage: (handler) => void handlers.push(handler),
    ignorePings() {
      answersPings = false;
    },
    end() {
      write(8, Buffer.from([0x03, 0xe8]));
      socket.end();
    },
  };
}

function readFrame(bytes: Buffer): { opcode: number; data: Buffer; size: number } | undefined {
  if (bytes.length < 2) return undefined;
  const short = (bytes[1] ?? 0) & 0x7f;
  const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
  if (bytes.length < 2 + extra + 4) return undefined;
  const length = extra === 0 ? short : extra === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const from = 2 + extra + 4;
  if (bytes.length < from + length) return undefined;
  const mask = bytes.subarray(2 + extra, from);
  const data = Buffer.from(bytes.subarray(from, from + length).map((byte, index) => byte ^ (mask[index % 4] ?? 0)));
  return { opcode: (bytes[0] ?? 0) & 0x0f, data, size: from + length };
}
