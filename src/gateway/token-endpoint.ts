import type { IncomingMessage, ServerResponse } from "node:http";
import { ApiError } from "../cluster/api.ts";
import type { Login } from "../credential/login.ts";
import { readBody } from "../http/body.ts";
import type { Log } from "../log.ts";
import type { AuditRecord } from "./audit.ts";
import type { Authenticator } from "./authenticate.ts";
import type { Authorizer } from "./authorize.ts";
import { type Action, formatSubject, type Identity } from "./identity.ts";
import { type RegistryError, sendError } from "./refusal.ts";
import { parseScopes } from "./scope.ts";
import type { TokenIssuer } from "./token.ts";
import type { ResourceActions } from "./token-claims.ts";

export type TokenEndpointNeeds = {
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly issuer: TokenIssuer;
  /** A form has to come within it. */
  readonly bodyWithinMs: number;
  readonly log: Log;
};

type TokenRequest = { readonly login: Login; readonly scopes: readonly string[] };

const bodyLimitBytes = 64 * 1024;

/**
 * `/auth/token`: GET with Basic, or OAuth2 POST with grant type `password`. The token holds what of the asked scopes
 * the identity may do now; asking for more is no error. It is for the service of our challenges, whatever `service`
 * the request names: there is no other one here, and scripts write anything there.
 *
 * @see https://distribution.github.io/distribution/spec/auth/token/
 * @see https://distribution.github.io/distribution/spec/auth/oauth/
 */
export function createTokenEndpoint(needs: TokenEndpointNeeds) {
  return async (request: IncomingMessage, response: ServerResponse, record: AuditRecord): Promise<void> => {
    record.action = "token";
    if (request.method !== "GET" && request.method !== "POST") {
      return sendError(response, 405, unsupported, { Allow: "GET, POST" });
    }
    const asked = request.method === "GET" ? readGet(request) : await readPost(request, needs.bodyWithinMs);
    if (asked.kind === "refused") return sendError(response, asked.status, asked.error);
    if (asked.kind === "anonymous") return sendUnauthorized(response);
    const signal = AbortSignal.timeout(10_000);
    try {
      await answer(needs, { request, response, record, signal }, asked.request);
    } catch (error) {
      if (!(error instanceof ApiError) && !signal.aborted) throw error;
      needs.log.warn({ err: error }, "a login could not be reviewed by the API server");
      sendUnavailable(response);
    }
  };
}

type Exchange = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly record: AuditRecord;
  readonly signal: AbortSignal;
};

async function answer(needs: TokenEndpointNeeds, exchange: Exchange, asked: TokenRequest): Promise<void> {
  const { request, response, record, signal } = exchange;
  const outcome = await needs.authenticator.login(asked.login, request.socket.remoteAddress ?? "", signal);
  if (outcome.kind === "throttled") return sendThrottled(response);
  if (outcome.kind === "refused") return sendUnauthorized(response);
  record.identity = formatSubject(outcome.identity);
  const access = await grant(needs.authorizer, outcome.identity, parseScopes(asked.scopes), signal);
  await sendToken(needs, response, { identity: outcome.identity, access });
}

async function grant(
  authorizer: Authorizer,
  identity: Identity,
  scopes: readonly ResourceActions[],
  signal: AbortSignal,
): Promise<readonly ResourceActions[]> {
  const grants = scopes.map(async (scope): Promise<ResourceActions> => {
    // Everybody may ask for the catalogue: the gateway answers with what the identity may pull.
    if (scope.type === "registry") return scope;
    const verdicts = scope.actions.map(async (action) => {
      const isGranted = await authorizer.mayDo(identity, action as Action, scope.name, signal);
      return isGranted ? [action] : [];
    });
    return { ...scope, actions: (await Promise.all(verdicts)).flat() };
  });
  return (await Promise.all(grants)).filter((scope) => scope.actions.length > 0);
}

async function sendToken(
  needs: TokenEndpointNeeds,
  response: ServerResponse,
  granted: { readonly identity: Identity; readonly access: readonly ResourceActions[] },
): Promise<void> {
  const issued = await needs.issuer.issue(formatSubject(granted.identity), granted.access);
  if (issued === undefined) return sendUnavailable(response);
  const scope = granted.access.map(({ type, name, actions }) => `${type}:${name}:${actions.join(",")}`).join(" ");
  const body = JSON.stringify({
    token: issued.token,
    access_token: issued.token,
    expires_in: issued.expiresInSeconds,
    issued_at: issued.issuedAt,
    scope,
  });
  response.writeHead(200, { "Content-Type": "application/json", "Cache-Control": "no-store" }).end(body);
}

type Asked =
  | { readonly kind: "request"; readonly request: TokenRequest }
  | { readonly kind: "anonymous" }
  | { readonly kind: "refused"; readonly status: 400 | 408 | 413 | 415; readonly error: RegistryError };

const unsupported = { code: "UNSUPPORTED", message: "the operation is unsupported" } as const;

function readGet(request: IncomingMessage): Asked {
  const query = new URLSearchParams((request.url ?? "").split("?")[1] ?? "");
  const login = parseBasic(request.headers.authorization ?? "");
  if (login === undefined) return { kind: "anonymous" };
  return { kind: "request", request: { login, scopes: query.getAll("scope") } };
}

async function readPost(request: IncomingMessage, withinMs: number): Promise<Asked> {
  const body = await readBody(request, {
    limitBytes: bodyLimitBytes,
    contentType: "application/x-www-form-urlencoded",
    withinMs,
  });
  if (body.kind === "aborted") return { kind: "anonymous" };
  if (body.kind === "refused") {
    return { kind: "refused", status: body.status, error: { code: "UNSUPPORTED", message: body.reason } };
  }
  const form = new URLSearchParams(body.bytes.toString("utf8"));
  const grantType = form.get("grant_type");
  // A refresh token is never given out. 401 makes clients fall back to GET.
  if (grantType === "refresh_token") return { kind: "anonymous" };
  if (grantType !== "password") return otherGrantType;
  const username = form.get("username") ?? "";
  const password = form.get("password") ?? "";
  if (password === "") return { kind: "anonymous" };
  return { kind: "request", request: { login: { username, password }, scopes: form.getAll("scope") } };
}

/** @see https://www.rfc-editor.org/rfc/rfc6749#section-5.2 (unsupported_grant_type) */
const otherGrantType: Asked = {
  kind: "refused",
  status: 400,
  error: { code: "UNSUPPORTED", message: "grant_type has to be password" },
};

/** @see https://www.rfc-editor.org/rfc/rfc7617 */
export function parseBasic(header: string): Login | undefined {
  const [, encoded] = /^basic +([A-Za-z0-9+/_=-]+) *$/i.exec(header) ?? [];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon < 0 ? undefined : { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

function sendUnauthorized(response: ServerResponse): void {
  sendError(
    response,
    401,
    { code: "UNAUTHORIZED", message: "authentication required" },
    { "WWW-Authenticate": 'Basic realm="slipway"' },
  );
}

function sendThrottled(response: ServerResponse): void {
  sendError(response, 429, { code: "TOOMANYREQUESTS", message: "too many failed logins" }, { "Retry-After": "1" });
}

function sendUnavailable(response: ServerResponse): void {
  sendError(response, 503, { code: "UNAVAILABLE", message: "service unavailable" }, { "Retry-After": "2" });
}
