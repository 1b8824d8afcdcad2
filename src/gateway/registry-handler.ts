import type { IncomingMessage, ServerResponse } from "node:http";
import { ApiError } from "../cluster/api.ts";
import { SlipwayError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { AuditRecord } from "./audit.ts";
import type { Authorizer } from "./authorize.ts";
import { type CatalogSource, filterCatalog, readPagination } from "./catalog.ts";
import type { EventHub } from "./event-hub.ts";
import type { Forwarder } from "./forward.ts";
import { type Action, formatSubject, type Identity, parseSubject } from "./identity.ts";
import { writeManifest } from "./manifest-write.ts";
import { sendChallenge, sendError } from "./refusal.ts";
import {
  formatRegistryPath,
  isDigest,
  isRepositoryName,
  parseRegistryPath,
  type RegistryRoute,
} from "./repository-path.ts";
import { checkRequest } from "./request-check.ts";
import { awaitsContinue } from "./request-head.ts";
import { actionName, allowedMethods, isWrite, requiredAccess } from "./required-access.ts";
import { holdsAction } from "./scope.ts";
import type { Standing } from "./standing.ts";
import type { TokenVerifier } from "./token.ts";
import type { ResourceActions, TokenClaims } from "./token-claims.ts";
import { explainWriteFault } from "./write-fault.ts";

export type RegistryHandlerNeeds = {
  readonly verifier: TokenVerifier;
  readonly standing: Standing;
  readonly authorizer: Authorizer;
  readonly forwarder: Forwarder;
  readonly catalog: CatalogSource;
  readonly hub: EventHub;
  readonly isReadOnly: () => boolean;
  readonly manifestWithinMs: number;
  readonly log: Log;
};

/** One request to `/v2`, with what was found out about it on the way. */
type Exchange = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  readonly query: URLSearchParams;
  readonly record: AuditRecord;
};

type Caller = {
  readonly identity: Identity;
  readonly access: readonly ResourceActions[];
  /** As Distribution reads it: with one space, whatever came. */
  readonly authorization: string;
};

const unsupported = { code: "UNSUPPORTED", message: "the operation is unsupported" } as const;

/**
 * Everything below `/v2`: path, token, live rights, then Distribution. The order matters: nothing is said about a
 * repository before the caller may see it, and nothing is forwarded before all of it holds.
 */
export function createRegistryHandler(needs: RegistryHandlerNeeds) {
  return async (request: IncomingMessage, response: ServerResponse, record: AuditRecord): Promise<void> => {
    const [path = "", queryText = ""] = splitOnce(request.url ?? "", "?");
    const exchange = { request, response, record, method: request.method ?? "", query: new URLSearchParams(queryText) };
    const parsed = parseRegistryPath(path);
    if (parsed.kind === "refused") {
      return sendError(response, parsed.status, { code: parsed.code, message: "the path names nothing of a registry" });
    }
    const { route } = parsed;
    const allowed = allowedMethods(route);
    if (!allowed.includes(exchange.method)) {
      return sendError(response, 405, unsupported, { Allow: allowed.join(", ") });
    }
    record.action = actionName(exchange.method, route);
    if ("repository" in route) record.repository = route.repository;
    if (route.kind === "manifest") record.reference = route.reference;
    try {
      await answer(needs, exchange, route);
    } catch (error) {
      if (!isOutage(error)) throw error;
      needs.log.warn({ err: error }, "a request could not be decided");
      sendError(response, 503, { code: "UNAVAILABLE", message: "service unavailable" }, { "Retry-After": "2" });
    }
  };
}

async function answer(needs: RegistryHandlerNeeds, exchange: Exchange, route: RegistryRoute): Promise<void> {
  const { response, method } = exchange;
  const required = requiredAccess(method, route);
  const [, token] = /^bearer +(\S+) *$/i.exec(exchange.request.headers.authorization ?? "") ?? [];
  const named = [...required, ...mountSource(exchange, route)];
  if (token === undefined) return sendChallenge(exchange, named);
  const claims = await needs.verifier.verify(token);
  const identity = claims && resolve(needs.standing, claims);
  if (identity === undefined || claims === undefined) return sendChallenge(exchange, named, "invalid_token");
  exchange.record.identity = formatSubject(identity);
  const caller = { identity, access: claims.access, authorization: `Bearer ${token}` };
  if (!(await holdsAll(needs, caller, required))) return sendChallenge(exchange, named, "insufficient_scope");
  if (isWrite(method) && needs.isReadOnly()) {
    return sendError(response, 405, { code: "UNSUPPORTED", message: "the registry is read-only for maintenance" });
  }
  const fault = checkRequest(route, exchange.query, exchange.request.headers);
  if (fault !== undefined) return sendError(response, fault.status, fault.error);
  if (awaitsContinue(exchange.request)) response.writeContinue();
  await serve(needs, exchange, route, caller);
}

/** What the caller may have. */
async function serve(
  needs: RegistryHandlerNeeds,
  exchange: Exchange,
  route: RegistryRoute,
  caller: Caller,
): Promise<void> {
  const { method } = exchange;
  if (route.kind === "catalog") return await sendCatalog(needs, exchange, caller.identity);
  if (route.kind === "manifest" && isWrite(method)) {
    const { authorization } = caller;
    return await writeManifest(needs, route, { ...exchange, authorization });
  }
  await needs.forwarder.forward({
    ...exchange,
    target: `${formatRegistryPath(route)}${await forwardedQuery(needs, exchange, route, caller)}`,
    isContent: route.kind === "blob" || route.kind === "manifest",
    headers: {
      authorization: caller.authorization,
      // As a form Distribution would read `mount` and `from` out of the body, past every check of the query.
      ...(isWrite(method) ? { "content-type": "application/octet-stream" } : {}),
    },
    ...(isWrite(method) ? { explain: explainWriteFault } : {}),
  });
}

function resolve(standing: Standing, claims: TokenClaims): Identity | undefined {
  const subject = parseSubject(claims.sub);
  return subject && standing.resolve(subject);
}

/** Both have to say yes: the token, which Distribution looks at as well, and the matrix as it stands now. */
async function holdsAll(
  needs: RegistryHandlerNeeds,
  caller: Caller,
  required: readonly ResourceActions[],
): Promise<boolean> {
  for (const { type, name, actions } of required) {
    for (const action of actions) {
      if (!holdsAction(caller.access, { type, name, action })) return false;
      if (type === "repository" && !(await needs.authorizer.mayDo(caller.identity, action as Action, name))) {
        return false;
      }
    }
  }
  return true;
}

/** What of a query goes on; everything else is not ours to pass, and `from` least of all. */
const forwardedParameters: Readonly<Record<RegistryRoute["kind"], readonly string[]>> = {
  base: ["ns"],
  catalog: [],
  manifest: ["ns"],
  blob: ["ns"],
  upload: ["_state", "digest", "ns"],
  tags: ["n", "last", "ns"],
  referrers: ["artifactType", "ns"],
};

async function forwardedQuery(
  needs: RegistryHandlerNeeds,
  exchange: Exchange,
  route: RegistryRoute,
  caller: Caller,
): Promise<string> {
  const query = new URLSearchParams();
  for (const name of forwardedParameters[route.kind]) {
    const value = exchange.query.get(name);
    if (value !== null) query.set(name, value);
  }
  if (route.kind === "upload" && route.id === undefined) {
    const mount = exchange.query.get("mount");
    const from = exchange.query.get("from");
    // From a source that the caller may not read it becomes an ordinary upload; without the scope in the token
    // Distribution asks for one, as it always does.
    if (mount !== null && from !== null && isDigest(mount) && (await mayMount(needs, caller.identity, from))) {
      query.set("mount", mount);
      query.set("from", from);
    }
  }
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/** What a mount needs beside: a client that asks for what it is told to can then mount at its second try. */
function mountSource({ query }: Exchange, route: RegistryRoute): readonly ResourceActions[] {
  const from = query.get("from");
  const isMount = route.kind === "upload" && route.id === undefined && query.get("mount") !== null;
  return isMount && from !== null && isRepositoryName(from)
    ? [{ type: "repository", name: from, actions: ["pull"] }]
    : [];
}

async function mayMount(needs: RegistryHandlerNeeds, identity: Identity, from: string): Promise<boolean> {
  return isRepositoryName(from) && (await needs.authorizer.mayDo(identity, "pull", from));
}

async function sendCatalog(needs: RegistryHandlerNeeds, exchange: Exchange, identity: Identity): Promise<void> {
  const { response } = exchange;
  const wanted = readPagination(exchange.query);
  if (wanted === undefined) {
    return sendError(response, 400, { code: "PAGINATION_NUMBER_INVALID", message: "n has to be from 0 to 1000" });
  }
  const signal = AbortSignal.timeout(60_000);
  const mayList = (repository: string) => needs.authorizer.mayList(identity, repository, signal);
  const page = await filterCatalog(needs.catalog, wanted, mayList, signal);
  const body = JSON.stringify({ repositories: page.repositories });
  const link =
    page.next === undefined
      ? {}
      : { Link: `</v2/_catalog?last=${encodeURIComponent(page.next)}&n=${wanted.size}>; rel="next"` };
  response.writeHead(200, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(body),
    "Docker-Distribution-Api-Version": "registry/2.0",
    ...link,
  });
  response.end(body);
  exchange.record.bytesOut = Buffer.byteLength(body);
}

function isOutage(error: unknown): boolean {
  if (error instanceof ApiError || (error instanceof DOMException && error.name === "TimeoutError")) return true;
  return error instanceof SlipwayError && error.code === "REGISTRY_UNAVAILABLE";
}

function splitOnce(text: string, separator: string): readonly [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}
