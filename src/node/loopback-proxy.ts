import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { request as httpsRequest } from "node:https";
import { pipeline } from "node:stream";
import { endToEndHeaders } from "../http/hop-by-hop.ts";
import { tookStaleConnection } from "../http/stale-connection.ts";
import type { Log } from "../log.ts";
import { errorCode } from "./disk.ts";
import { createUpstream, type Upstream } from "./loopback-upstream.ts";
import type { OrderedRegistry } from "./protocol.ts";
import type { Failure } from "./strategy.ts";

const headersTimeoutMs = 30_000;
/** A transfer that stands still for so long is over; a large layer's last request is silent while S3 assembles it. */
const idleTimeoutMs = 600_000;
const connectionLimit = 512;

/** Plain HTTP on the host's loopback, forwarded to the registry over verified TLS. */
export type LoopbackProxy = {
  /** Listens on the ordered port and forwards to the ordered registry. @returns why it could not */
  serve(registry: OrderedRegistry): Promise<Failure | undefined>;
  /** Takes no more connections; resolves when what is under way has ended or `graceMs` have passed. */
  close(graceMs: number): Promise<void>;
};

/**
 * The registry at 127.0.0.1 and ::1 of a node: `/v2/…` and `/auth/token` are passed on with their Host kept and
 * `X-Forwarded-Proto: http`, so that the gateway names a token realm that the runtime reaches by the same way. Bodies
 * stream both ways.
 */
export function createLoopbackProxy(needs: { readonly log: Log }): LoopbackProxy {
  let servers: readonly Server[] = [];
  let port: number | undefined;
  let served: { readonly key: string; readonly upstream: Upstream } | undefined;

  const onRequest: RequestListener = (request, response) => {
    if (served === undefined) return refuse(response, 503, "the node agent has no order for this registry");
    if (!isRouted(request.url ?? "")) return refuse(response, 404, "only /v2/ and /auth/token are served here");
    forward(request, response, served.upstream);
  };

  function forward(request: IncomingMessage, response: ServerResponse, upstream: Upstream): void {
    const { method, url: path } = request;
    const isWrite = mayCarryBody(method);
    const headers = { ...endToEndHeaders(request.headers), "x-forwarded-proto": "http" };
    if (!isWrite) delete headers["content-length"];
    const { host, port: upstreamPort, agent } = upstream;
    const outgoing = httpsRequest({ host, port: upstreamPort, agent, method, path, headers, timeout: idleTimeoutMs });
    outgoing.on("timeout", () =>
      outgoing.destroy(Object.assign(new Error("the registry is silent"), { code: "ETIMEDOUT" })),
    );
    outgoing.on("response", (incoming) => {
      response.writeHead(incoming.statusCode ?? 502, endToEndHeaders(incoming.headers));
      pipeline(incoming, response, noteBreak);
    });
    outgoing.on("error", (error) => {
      const isUntouched = !response.headersSent && !response.destroyed;
      if (!isWrite && isUntouched && tookStaleConnection(outgoing, error)) {
        response.off("close", giveUp);
        return forward(request, response, upstream);
      }
      const code = errorCode(error);
      needs.log.debug({ err: error }, "a request could not be forwarded to the registry");
      refuse(response, 502, `the node agent cannot reach the registry${code === "" ? "" : ` (${code})`}`);
    });
    const giveUp = () => {
      if (!response.writableFinished) outgoing.destroy();
    };
    response.on("close", giveUp);
    if (isWrite) {
      pipeline(request, outgoing, noteBreak);
    } else {
      request.resume();
      outgoing.end();
    }
  }

  /** The pipeline has ended the other side by then, so that nothing that broke off looks complete. */
  function noteBreak(error: unknown): void {
    if (error !== null && error !== undefined) needs.log.debug({ err: error }, "a transfer broke off");
  }

  async function listen(wanted: number): Promise<Failure | undefined> {
    const opened: Server[] = [];
    for (const host of ["127.0.0.1", "::1"]) {
      const outcome = await open(host, wanted, onRequest);
      if (outcome.kind === "listening") opened.push(outcome.server);
      else if (outcome.kind === "failed") {
        for (const server of opened) server.close();
        return outcome.failure;
      }
    }
    servers = opened;
    port = wanted;
    return undefined;
  }

  async function close(graceMs: number): Promise<void> {
    const closing = servers;
    servers = [];
    port = undefined;
    await Promise.all(closing.map((server) => drain(server, graceMs)));
  }

  return {
    async serve(registry) {
      const key = JSON.stringify([registry.server, registry.serverName, registry.ca, registry.kind]);
      if (served?.key !== key) {
        served?.upstream.retire();
        served = { key, upstream: createUpstream(registry) };
      }
      if (port === registry.loopbackPort) return undefined;
      await close(0);
      return listen(registry.loopbackPort);
    },
    async close(graceMs) {
      await close(graceMs);
      served?.upstream.retire();
      served = undefined;
    },
  };
}

type Opened =
  | { readonly kind: "listening"; readonly server: Server }
  /** This host has no such address: an IPv4-only node. */
  | { readonly kind: "absent" }
  | { readonly kind: "failed"; readonly failure: Failure };

function open(host: string, port: number, onRequest: RequestListener): Promise<Opened> {
  const server = createServer({ requestTimeout: 0, headersTimeout: headersTimeoutMs, keepAliveTimeout: 95_000 });
  server.maxConnections = connectionLimit;
  server.on("request", onRequest);
  server.on("checkContinue", (request, response) => {
    response.writeContinue();
    onRequest(request, response);
  });
  server.setTimeout(idleTimeoutMs);
  const { promise, resolve } = Promise.withResolvers<Opened>();
  server.once("error", (error) => resolve(openFault(error, host, port)));
  server.listen({ host, port, exclusive: true }, () => resolve({ kind: "listening", server }));
  return promise;
}

function openFault(error: unknown, host: string, port: number): Opened {
  const code = errorCode(error);
  if (host === "::1" && (code === "EADDRNOTAVAIL" || code === "EAFNOSUPPORT" || code === "EINVAL")) {
    return { kind: "absent" };
  }
  const taken = "is taken by another program on this node; stop it or set loopbackPort of LocalRegistry";
  const failure =
    code === "EADDRINUSE"
      ? { reason: "PortTaken", message: `${host} port ${port} ${taken}` }
      : { reason: "ListenFailed", message: `the agent cannot listen on ${host} port ${port} (${code})` };
  return { kind: "failed", failure };
}

async function drain(server: Server, graceMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  server.close(() => {
    clearTimeout(timer);
    resolve();
  });
  server.closeIdleConnections();
  await promise;
}

function isRouted(url: string): boolean {
  return /^\/(v2(\/|\?|$)|auth\/token(\?|$))/.test(url);
}

/**
 * Of other methods a registry expects no body, and node:http would send one that came in chunks without any framing:
 * on a connection that others share it would be the next request.
 */
function mayCarryBody(method: string | undefined): boolean {
  return method === "POST" || method === "PUT" || method === "PATCH";
}

/** In the form of a registry's errors, so that the runtime shows the message. */
function refuse(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body = Buffer.from(JSON.stringify({ errors: [{ code: "UNAVAILABLE", message }] }));
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": body.length,
    connection: "close",
  });
  response.end(body);
}
