import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import type { Server } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";

/** What is said to a request that no handler sees, or whose handler failed (500). */
export type Rejection = (status: RejectedStatus) => { readonly contentType: string; readonly body: string };
export type RejectedStatus = 400 | 405 | 408 | 413 | 417 | 431 | 500;

/**
 * Answers in the caller's words what Node refuses by itself, with an empty body or none: requests that are no HTTP,
 * too large heads, expectations other than 100-continue, CONNECT. The connection ends with it.
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/http.html#event-clienterror
 */
export function answerRejections(server: Server, rejection: Rejection): void {
  /** The last answer of a connection. */
  const answers = new WeakMap<Duplex, ServerResponse>();
  server.prependListener("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
    answers.set(socket, response);
  });
  const isAnswering = (socket: Duplex): boolean => {
    const answer = answers.get(socket);
    return answer?.headersSent === true && !answer.writableFinished;
  };
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    const status = statusOf(error.code ?? "");
    // Within an answer it would be taken for a part of it; a failed handshake has nobody to answer to.
    if (status === undefined || !socket.writable || isAnswering(socket)) socket.destroy();
    else end(socket, status, rejection(status));
  });
  server.on("checkExpectation", (_request: IncomingMessage, response: ServerResponse) => {
    const { contentType, body } = rejection(417);
    const headers = { "Content-Type": contentType, "Content-Length": Buffer.byteLength(body), Connection: "close" };
    response.writeHead(417, headers).end(body);
  });
  server.on("connect", (_request: IncomingMessage, socket: Duplex) => end(socket, 405, rejection(405)));
}

function statusOf(code: string): RejectedStatus | undefined {
  if (code === "HPE_HEADER_OVERFLOW") return 431;
  if (code === "HPE_CHUNK_EXTENSIONS_OVERFLOW") return 413;
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return 408;
  return code.startsWith("HPE_") ? 400 : undefined;
}

function end(socket: Duplex, status: RejectedStatus, said: ReturnType<Rejection>): void {
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `Content-Type: ${said.contentType}`,
    `Content-Length: ${Buffer.byteLength(said.body)}`,
    "Connection: close",
  ];
  // A client that goes on sending resets the connection; it has been answered.
  socket.on("error", () => undefined);
  socket.end(`${head.join("\r\n")}\r\n\r\n${said.body}`);
}
