import type { IncomingHttpHeaders } from "node:http";

/** They concern one connection and end with it; `connection` may name more. */
const hopByHop: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Meant for whoever answers: a client that names them in Connection is wrong, and must not take them away. */
const endToEnd: ReadonlySet<string> = new Set(["host", "authorization", "content-length", "content-type"]);

/**
 * The headers that a proxy passes on: all but those that end at each hop.
 *
 * @param headers names in lower case, as Node gives them
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
 */
export function endToEndHeaders(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const named = (headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase());
  const kept: IncomingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    const endsHere = hopByHop.has(name) || (named.includes(name) && !endToEnd.has(name));
    if (!endsHere) kept[name] = value;
  }
  return kept;
}
