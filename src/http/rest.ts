import type { IncomingMessage, ServerResponse } from "node:http";

/**
 * After an answer the rest of its request is read and dropped, so that the client sees the answer; a rest without an
 * end is cut off.
 *
 * @param limitMs from the end of the answer
 */
export function limitRest(request: IncomingMessage, response: ServerResponse, limitMs: number): void {
  response.once("finish", () => {
    if (request.complete) return;
    const timer = setTimeout(() => request.socket.destroy(), limitMs).unref();
    request.once("end", () => clearTimeout(timer));
  });
}
