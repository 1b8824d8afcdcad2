import type { IncomingMessage } from "node:http";
import { hostOf, type RegistryFault } from "./refusal.ts";

/**
 * What is wrong with the head of a request, whatever it asks for. A target in absolute form is brought into origin form
 * on the way: its authority takes the place of the Host header.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9112#section-3.2
 */
export function checkRequestHead(request: IncomingMessage): RegistryFault | undefined {
  if (isHostRepeated(request)) return fault(400, "there may be one Host header only");
  toOriginForm(request);
  if (hostOf(request) === undefined) return fault(400, "the Host header has to be host[:port]");
  const coding = request.headers["transfer-encoding"];
  // Node takes apart what is chunked, and leaves what else was done to the body in it.
  if (coding !== undefined && coding.toLowerCase() !== "chunked")
    return fault(501, "chunked is the only transfer coding");
  return undefined;
}

/** Whether the client waits to be told to send its body. HTTP/1.0 knows no answers before the answer. */
export function awaitsContinue({ headers, httpVersion }: IncomingMessage): boolean {
  return headers.expect !== undefined && httpVersion !== "1.0";
}

function toOriginForm(request: IncomingMessage): void {
  const [, authority, rest = ""] = /^https?:\/\/([^/?]*)(.*)$/i.exec(request.url ?? "") ?? [];
  if (authority === undefined) return;
  request.url = rest.startsWith("/") ? rest : `/${rest}`;
  request.headers.host = authority;
}

/** Node keeps the first and drops the others; a proxy in front may have looked at another one. */
function isHostRepeated({ rawHeaders }: IncomingMessage): boolean {
  return rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === "host").length > 1;
}

function fault(status: 400 | 501, message: string): RegistryFault {
  return { status, error: { code: "UNSUPPORTED", message } };
}
