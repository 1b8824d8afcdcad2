import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { RejectedStatus, Rejection } from "../http/rejection.ts";
import type { ResourceActions } from "./token-claims.ts";
import { tokenService } from "./token-claims.ts";

/** Codes of the OCI distribution specification, and those of Distribution beside them. */
export type RegistryErrorCode =
  | "BLOB_UNKNOWN"
  | "BLOB_UPLOAD_UNKNOWN"
  | "MANIFEST_INVALID"
  | "MANIFEST_UNKNOWN"
  | "NAME_INVALID"
  | "NOT_FOUND"
  | "PAGINATION_NUMBER_INVALID"
  | "RANGE_INVALID"
  | "SIZE_INVALID"
  | "TAG_INVALID"
  | "TOOMANYREQUESTS"
  | "UNAUTHORIZED"
  | "UNAVAILABLE"
  | "UNSUPPORTED";

export type RegistryError = { readonly code: RegistryErrorCode; readonly message: string; readonly detail?: unknown };

/** A status with the error that stands in its body. */
export type RegistryFault = { readonly status: number; readonly error: RegistryError };

export const tokenPath = "/auth/token";

/**
 * Answers with an OCI error body. Nothing of the request is repeated in it.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
 */
export function sendError(
  response: ServerResponse,
  status: number,
  error: RegistryError,
  headers: OutgoingHttpHeaders = {},
): void {
  const body = errorBody(error);
  response.writeHead(status, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(body),
    "Docker-Distribution-Api-Version": "registry/2.0",
    "X-Content-Type-Options": "nosniff",
    ...headers,
  });
  // A HEAD answer has the headers only; node leaves the body out.
  response.end(body);
}

/** An OCI error body. */
export function errorsBody(
  errors: readonly { readonly code: string; readonly message: string; readonly detail: unknown }[],
): string {
  return JSON.stringify({ errors: errors.map(({ code, message, detail }) => ({ code, message, detail })) });
}

function errorBody({ code, message, detail = null }: RegistryError): string {
  return errorsBody([{ code, message, detail }]);
}

const rejections: Readonly<Record<RejectedStatus, string>> = {
  400: "the request is no HTTP/1.1",
  405: "the operation is unsupported",
  408: "the request did not come in time",
  413: "the request has too large chunk extensions",
  417: "the expectation cannot be met",
  431: "the request line and headers are too large",
  500: "the gateway failed",
};

/** What clients are told whose requests no handler sees, or none can answer. */
export const registryRejection: Rejection = (status) => ({
  contentType: "application/json",
  body: errorBody({ code: status === 500 ? "UNAVAILABLE" : "UNSUPPORTED", message: rejections[status] }),
});

/**
 * 401 with a challenge, as Distribution words it: the same for what exists and for what does not.
 *
 * @param scopes what the request would need
 * @param error absent when no token was sent
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
export function sendChallenge(
  exchange: { readonly request: IncomingMessage; readonly response: ServerResponse },
  scopes: readonly ResourceActions[],
  error?: "insufficient_scope" | "invalid_token",
): void {
  const scope = scopes.map(({ type, name, actions }) => `${type}:${name}:${actions.join(",")}`).join(" ");
  const parameters = [
    `realm="${schemeOf(exchange.request)}://${hostOf(exchange.request) ?? ""}${tokenPath}"`,
    `service="${tokenService}"`,
    ...(scope === "" ? [] : [`scope="${scope}"`]),
    ...(error === undefined ? [] : [`error="${error}"`]),
  ];
  const detail = scopes.flatMap(({ type, name, actions }) =>
    actions.map((action) => ({ Type: type, Class: "", Name: name, Action: action })),
  );
  sendError(
    exchange.response,
    401,
    { code: "UNAUTHORIZED", message: "authentication required", detail: detail.length === 0 ? null : detail },
    { "WWW-Authenticate": `Bearer ${parameters.join(",")}` },
  );
}

/** The scheme that the client used, as far as those in front of us know: of several the outermost comes first. */
export function schemeOf(request: IncomingMessage): "http" | "https" {
  const [given] = [request.headers["x-forwarded-proto"]].flat();
  return /^http *(?:,|$)/i.test(given ?? "") ? "http" : "https";
}

/** The Host header, when it is `host[:port]` by grammar; it goes into realms and Location headers. */
export function hostOf(request: IncomingMessage): string | undefined {
  const { host } = request.headers;
  return host !== undefined && /^(?:[a-zA-Z0-9_.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])(?::\d{0,5})?$/.test(host)
    ? host
    : undefined;
}
