import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { endToEndHeaders } from "../http/hop-by-hop.ts";
import { schemeOf } from "./refusal.ts";

/** `expect` has been answered by us; a client could steer links with the others. */
const dropped = [
  "expect",
  "forwarded",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-prefix",
  "x-forwarded-for",
  "x-forwarded-proto",
] as const;

/**
 * The headers of a request as Distribution gets them: Host stays and X-Forwarded-Proto is set when absent, so that
 * Location headers are what the client can follow.
 *
 * @param body.length in bytes, or as the client said; absent: the request has no body
 */
export function requestHeaders(
  request: IncomingMessage,
  body: { readonly length: number | "as declared" } | undefined,
  own: OutgoingHttpHeaders = {},
): OutgoingHttpHeaders {
  const kept: OutgoingHttpHeaders = endToEndHeaders(request.headers);
  for (const name of dropped) delete kept[name];
  if (body === undefined) delete kept["content-length"];
  else if (body.length !== "as declared") kept["content-length"] = body.length;
  return {
    ...kept,
    "x-forwarded-proto": schemeOf(request),
    "x-forwarded-for": request.socket.remoteAddress ?? "",
    ...own,
  };
}

/**
 * The headers of Distribution's answer as the client gets them. Of a fault without its length: GET says it in other
 * words, so that HEAD would name a wrong one.
 */
export function answerHeaders(status: number, headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const kept: OutgoingHttpHeaders = endToEndHeaders(headers);
  if (status >= 400) delete kept["content-length"];
  return kept;
}
