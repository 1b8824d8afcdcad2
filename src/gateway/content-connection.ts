import { connect } from "node:net";
import { type AnswerHead, parseAnswerHead } from "./answer-head.ts";
import { createChunkDecoder } from "./chunked.ts";

/** Told what comes of one request, in this order; after `end` or `fail` nothing more. */
export type AnswerReader = {
  head(head: AnswerHead): void;
  /** @param done to be called when the bytes are no longer needed: only then is more read, into the same memory */
  part(bytes: Buffer, done: () => void): void;
  end(): void;
  fail(failure: AnswerFailure): void;
};

/**
 * `unanswered`: the connection ended before the first byte of an answer; `unsuited`: the answer is none for this reader,
 * see parseAnswerHead; `broken`: it ended in the middle.
 */
export type AnswerFailure = "unanswered" | "unsuited" | "broken";

/** A connection to Distribution that carries one request at a time. */
export type ContentConnection = {
  /** @param head of the request as it goes on the wire */
  ask(method: string, head: string, reader: AnswerReader): void;
  destroy(): void;
};

const headLimitBytes = 64 * 1024;
const headEnd = "\r\n\r\n";

/** @returns what is for the client, and whether that was the last; undefined for what cannot be */
type BodyReader = (bytes: Buffer) => { readonly body: Buffer; readonly isEnd: boolean } | undefined;

type Exchange = {
  readonly method: string;
  readonly reader: AnswerReader;
  head: Buffer;
  /** What is still to come of the body; undefined: the head is not complete. */
  body: BodyReader | undefined;
  isKept: boolean;
};

/**
 * Reads answers into one piece of memory that is used again and again. node:http makes two new ones of every 64 KiB,
 * which V8 collects at the price of half of the gateway's processor time (docs/benchmarks.md).
 *
 * @param needs.onIdle the connection may carry another request
 */
export function openContentConnection(needs: {
  readonly host: string;
  readonly port: number;
  readonly bufferBytes: number;
  readonly onIdle: () => void;
  readonly onClose: () => void;
}): ContentConnection {
  let current: Exchange | undefined;
  const socket = connect({
    host: needs.host,
    port: needs.port,
    noDelay: true,
    onread: {
      buffer: Buffer.allocUnsafeSlow(needs.bufferBytes),
      callback: (size, memory) => receive(Buffer.from(memory.buffer, memory.byteOffset, size)),
    },
  });
  const fail = (failure: AnswerFailure): void => {
    const failed = current;
    current = undefined;
    socket.destroy();
    failed?.reader.fail(failure);
  };
  const receive = (bytes: Buffer): boolean => {
    if (current === undefined) {
      // Nothing was asked.
      socket.destroy();
      return false;
    }
    return current.body === undefined ? receiveHead(current, bytes) : receivePart(current, bytes);
  };
  const receiveHead = (exchange: Exchange, bytes: Buffer): boolean => {
    exchange.head = exchange.head.length === 0 ? bytes : Buffer.concat([exchange.head, bytes]);
    const end = exchange.head.indexOf(headEnd);
    if (end < 0) {
      // The memory is used again for what comes next.
      if (exchange.head === bytes) exchange.head = Buffer.from(bytes);
      if (exchange.head.length > headLimitBytes) fail("unsuited");
      return !socket.destroyed;
    }
    const head = parseAnswerHead(exchange.method, exchange.head.toString("latin1", 0, end));
    if (head === undefined) {
      fail("unsuited");
      return false;
    }
    exchange.body = bodyReader(head.length);
    exchange.isKept = head.isKept;
    exchange.reader.head(head);
    return receivePart(exchange, exchange.head.subarray(end + headEnd.length));
  };
  const receivePart = (exchange: Exchange, bytes: Buffer): boolean => {
    const part = exchange.body?.(bytes);
    if (part === undefined) {
      fail("broken");
      return false;
    }
    if (part.body.length === 0) return part.isEnd ? finish(exchange) : true;
    let isDone = false;
    let isPaused = false;
    exchange.reader.part(part.body, () => {
      isDone = true;
      if (part.isEnd) finish(exchange);
      if (isPaused && !socket.destroyed) socket.resume();
    });
    isPaused = !isDone;
    return isDone;
  };
  const finish = (exchange: Exchange): boolean => {
    if (current !== exchange) return false;
    current = undefined;
    if (!exchange.isKept) socket.destroy();
    exchange.reader.end();
    if (exchange.isKept) needs.onIdle();
    return true;
  };
  // What went wrong shows in the close that follows.
  socket.on("error", () => undefined);
  socket.once("close", () => {
    needs.onClose();
    const isUnanswered = current?.body === undefined && current?.head.length === 0;
    fail(isUnanswered ? "unanswered" : "broken");
  });
  return {
    ask(method, head, reader) {
      current = { method, reader, head: Buffer.alloc(0), body: undefined, isKept: true };
      socket.write(head, "latin1");
    },
    destroy() {
      current = undefined;
      socket.destroy();
    },
  };
}

function bodyReader(length: number | "chunked"): BodyReader {
  if (length === "chunked") return createChunkDecoder().decode;
  let left = length;
  return (bytes) => {
    left -= bytes.length;
    return left < 0 ? undefined : { body: bytes, isEnd: left === 0 };
  };
}
