import type { ClientRequest } from "node:http";

/**
 * Whether a request failed because the server closed a kept connection in the moment in which it was taken from the
 * pool: it has read nothing, and what can be sent again may be.
 *
 * @see https://nodejs.org/api/http.html#requestreusedsocket
 */
export function tookStaleConnection(request: ClientRequest, error: unknown): boolean {
  return request.reusedSocket && (error as { code?: unknown }).code === "ECONNRESET";
}
