import { type OutgoingHttpHeaders, validateHeaderValue } from "node:http";
import type { AnswerHead } from "./answer-head.ts";
import { type AnswerFailure, type ContentConnection, openContentConnection } from "./content-connection.ts";
import type { ForwardLimits, ForwardOrder } from "./forward.ts";
import { answerHeaders, requestHeaders } from "./forwarded-headers.ts";
import { createIdleTimer } from "./idle-timer.ts";
import { faultLimitBytes, isFault, sendFault } from "./registry-fault.ts";

export type ContentOutcome =
  | { readonly kind: "answered"; readonly head: AnswerHead }
  | { readonly kind: AnswerFailure };

/** Blobs and manifests from Distribution to the client. */
export type ContentSource = {
  /** @returns `unsuited` and `unanswered` only while nothing has been answered to the client: it may be asked again */
  send(order: ForwardOrder): Promise<ContentOutcome>;
  close(): void;
};

/** More is gained by more until here; each connection holds one. */
const bufferBytes = 128 * 1024;
const maxIdle = 16;
/** What is smaller is copied, so that the connection is free at once. */
const copyBytes = 16 * 1024;

/** GET and HEAD of what has a length, over kept connections; see content-connection.ts for the reason. */
export function createContentSource(needs: {
  readonly host: string;
  readonly port: number;
  readonly limits: ForwardLimits;
}): ContentSource {
  const idle: ContentConnection[] = [];
  const open = new Set<ContentConnection>();
  const fresh = (): ContentConnection => {
    const connection = openContentConnection({
      host: needs.host,
      port: needs.port,
      bufferBytes,
      onIdle() {
        if (idle.length < maxIdle) idle.push(connection);
        else connection.destroy();
      },
      onClose() {
        open.delete(connection);
        const at = idle.indexOf(connection);
        if (at >= 0) idle.splice(at, 1);
      },
    });
    open.add(connection);
    return connection;
  };
  return {
    async send(order) {
      const kept = idle.pop();
      const first = await transfer(kept ?? fresh(), order, needs.limits);
      // Distribution may close a kept connection at the moment we use it; nothing is lost by asking again.
      const isStale = kept !== undefined && first.kind === "unanswered" && !order.response.destroyed;
      return isStale ? transfer(fresh(), order, needs.limits) : first;
    },
    close() {
      for (const connection of open) connection.destroy();
    },
  };
}

function transfer(connection: ContentConnection, order: ForwardOrder, limits: ForwardLimits): Promise<ContentOutcome> {
  const { request, response, record } = order;
  const { promise, resolve } = Promise.withResolvers<ContentOutcome>();
  let answer: AnswerHead | undefined;
  // The body of a fault, which is said in other words; undefined: it is none.
  let fault: Buffer | undefined;
  // After the last byte the connection is somebody else's.
  let isOurs = true;
  const settle = (outcome: ContentOutcome): void => {
    idle.stop();
    response.off("close", giveUp);
    resolve(outcome);
  };
  const giveUp = (): void => {
    if (isOurs) connection.destroy();
    // A client that does not even take what it was sent.
    if (answer !== undefined) response.destroy();
    settle({ kind: "broken" });
  };
  const finish = (): void => {
    isOurs = false;
    response.once("finish", () => {
      if (answer !== undefined) settle({ kind: "answered", head: answer });
    });
    if (fault !== undefined && answer !== undefined) sendFault(response, { ...answer, body: fault });
    else response.end();
  };
  const idle = createIdleTimer(limits.answerMs, giveUp);
  response.once("close", giveUp);
  connection.ask(request.method ?? "", requestHead(order), {
    head(head) {
      answer = head;
      idle.restart(limits.idleMs);
      if (isFault(request.method, head.status)) fault = Buffer.alloc(0);
      else response.writeHead(head.status, answerHeaders(head.status, head.headers));
    },
    part(bytes, done) {
      idle.touch();
      record.bytesOut += bytes.length;
      if (fault !== undefined) {
        if (fault.length < faultLimitBytes) fault = Buffer.concat([fault, bytes]);
        return done();
      }
      if (bytes.length > copyBytes) return void response.write(bytes, () => done());
      response.write(Buffer.from(bytes));
      done();
    },
    end: finish,
    fail(failure) {
      // With a precondition that fails Distribution declares the length of the blob, sends none of it and hangs up.
      if (fault !== undefined) finish();
      else settle({ kind: failure });
    },
  });
  return promise;
}

/** @throws TypeError for a value that would be more than one line: Node lets none in */
function requestHead(order: ForwardOrder): string {
  const headers: OutgoingHttpHeaders = requestHeaders(order.request, undefined, order.headers);
  const lines = [`${order.request.method} ${order.target} HTTP/1.1`];
  for (const [name, value] of Object.entries(headers)) {
    for (const each of [value].flat()) {
      if (each === undefined) continue;
      validateHeaderValue(name, String(each));
      lines.push(`${name}: ${each}`);
    }
  }
  return `${lines.join("\r\n")}\r\n\r\n`;
}
