import type { IncomingMessage, ServerResponse } from "node:http";

/**
 * After an answer the rest of its request is read and dropped, so that the client sees the answer; a rest without an
 * end is cut off. To be called before anything is answered.
 *
 * @param limitMs from the end of the answer
 * @see https://www.rfc-editor.org/rfc/rfc9112#section-9.6 (why a connection is closed in stages)
 */
export function limitRest(request: IncomingMessage, response: ServerResponse, limitMs: number): void {
  // Where the client wants no other answer Node closes with this one, and the reset for what is left unread overtakes it.
  const isLast = !response.shouldKeepAlive && hasBody(request);
  if (isLast) response.shouldKeepAlive = true;
  const end = (): void => {
    if (isLast) request.socket.destroySoon();
  };
  response.once("finish", () => {
    if (request.complete) return end();
    const timer = setTimeout(() => request.socket.destroy(), limitMs).unref();
    request.once("end", () => {
      clearTimeout(timer);
      end();
    });
  });
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}
