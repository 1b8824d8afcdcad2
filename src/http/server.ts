import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Socket } from "node:net";
import type { SecureContext } from "node:tls";
import type { Clock } from "../clock.ts";
import type { Component } from "../cluster/component.ts";
import type { Log } from "../log.ts";
import type { CertificateSource } from "../tls/serving-certificate.ts";
import { type Connections, trackConnections } from "./connections.ts";
import { createNamedContext } from "./named-context.ts";
import { answerRejections, type Rejection } from "./rejection.ts";

/** An express application is one. */
export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => unknown;

export type HttpsServerNeeds = {
  readonly name: string;
  readonly handler: HttpHandler;
  /** 0: any free one, see `port()`. */
  readonly port: number;
  /** All addresses unless given. */
  readonly host?: string | undefined;
  readonly certificate: CertificateSource;
  /** Given to clients that ask for one of its names; absent, or while it is undefined, all are given `certificate`. */
  readonly namedCertificate?: CertificateSource;
  /** Who asks for one of these is given `certificate`, whatever names the other one has. */
  readonly ownNames?: readonly string[];
  /**
   * True: the handler answers `Expect: 100-continue` itself, by `response.writeContinue()` before it reads the body, so
   * that a refused upload never starts. Else Node does it at once.
   */
  readonly continueByHandler?: boolean;
  /** Absent: what Node says, which has no body. */
  readonly rejection?: Rejection;
  readonly log: Log;
  readonly clock: Clock;
  readonly limits?: Partial<HttpsServerLimits>;
  /** Called when the stop begins, before anything is closed: long streams end here. */
  readonly onDrain?: () => void;
};

export type HttpsServerLimits = {
  readonly keepAliveTimeoutMs: number;
  readonly headersTimeoutMs: number;
  /** 0: none, for uploads that take as long as they take. */
  readonly requestTimeoutMs: number;
  readonly connectionsPerClient: number;
  /** After the stop: new requests are still answered for so long, with `Connection: close`. */
  readonly lingerMs: number;
  /** After that: what is running may take so long to end. */
  readonly graceMs: number;
  /**
   * As long at least, new connections are refused. What is sent to a pod that has gone is lost, and its client waits
   * for its own limits, 30 s with containerd; one that is refused tries again.
   */
  readonly refuseMs: number;
};

export type HttpsServer = Component & {
  /** Listening with a certificate, and not stopping. */
  ready(): boolean;
  /** The port it listens on; undefined before. */
  port(): number | undefined;
};

/**
 * Keep-alive beyond the API server's own 90 s, so that it never writes into a socket that we are closing; 30 s for
 * headers; the stop in the order of docs on pod termination: answer with `Connection: close`, refuse new connections,
 * let the rest end, cut what is left.
 *
 * @see https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
 */
export const defaultLimits: HttpsServerLimits = {
  keepAliveTimeoutMs: 95_000,
  headersTimeoutMs: 30_000,
  requestTimeoutMs: 60_000,
  connectionsPerClient: 512,
  lingerMs: 5_000,
  graceMs: 20_000,
  refuseMs: 0,
};

/**
 * An https server whose certificate changes live. It waits for the first certificate, then listens; turning readiness
 * off before the stop is the caller's part.
 */
export function createHttpsServer(needs: HttpsServerNeeds): HttpsServer {
  const limits = { ...defaultLimits, ...needs.limits };
  let listening: Server | undefined;
  let draining = false;
  return {
    name: needs.name,
    ready: () => listening?.listening === true && !draining,
    port() {
      const address = listening?.address();
      return typeof address === "object" && address !== null ? address.port : undefined;
    },
    async run(stop) {
      if (!(await certificateArrived(needs.certificate, stop))) return;
      const server = createServer(
        serverOptions(needs, limits),
        guard(needs, () => draining),
      );
      server.on(
        "checkContinue",
        guard(needs, () => draining),
      );
      server.on("tlsClientError", (error, socket) => {
        needs.log.debug({ err: error, address: socket.remoteAddress }, "TLS handshake failed");
      });
      if (needs.rejection !== undefined) answerRejections(server, needs.rejection);
      limitConnections(server, limits.connectionsPerClient);
      const connections = trackConnections(server);
      needs.certificate.onChange(() => reloadCertificate(server, needs));
      await listen(server, needs);
      listening = server;
      needs.log.info({ server: needs.name, address: server.address() }, "listening");
      await aborted(stop);
      draining = true;
      needs.onDrain?.();
      await drain(server, { ...needs, connections }, limits);
      listening = undefined;
    },
  };
}

function serverOptions(needs: HttpsServerNeeds, limits: HttpsServerLimits) {
  const pair = needs.certificate.current();
  return {
    cert: pair?.certificate,
    key: pair?.key,
    minVersion: "TLSv1.2" as const,
    // Node would refuse the handshake of a client that offers the older one alone.
    ALPNProtocols: ["http/1.1", "http/1.0"],
    ...(needs.namedCertificate === undefined ? {} : { SNICallback: sniCallback(needs.namedCertificate, needs) }),
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    handshakeTimeout: 10_000,
    // Node looks for late headers every 30 s unless told otherwise, and would find them after up to twice their time.
    connectionsCheckingInterval: Math.min(limits.headersTimeoutMs, 1_000),
    // Who says what is said to the others looks at this one as well.
    requireHostHeader: needs.rejection === undefined,
  };
}

function sniCallback(source: CertificateSource, needs: HttpsServerNeeds) {
  const contextFor = createNamedContext(source, needs.ownNames ?? [], needs.log);
  return (name: string, done: (error: Error | null, context?: SecureContext) => void): void => {
    done(null, contextFor(name));
  };
}

/** Runs the handler so that neither a throw nor a rejection ends the process. */
function guard(needs: HttpsServerNeeds, isDraining: () => boolean) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    if (isDraining()) response.setHeader("Connection", "close");
    // A server that has ended its own answer may still be sent to; the client is gone, nothing is to be done.
    response.on("error", (error) => needs.log.debug({ err: error }, "response ended early"));
    const fail = (error: unknown): void => {
      needs.log.error({ err: error, method: request.method }, "a request failed");
      if (response.headersSent) return void response.destroy();
      const { contentType, body } = needs.rejection?.(500) ?? { contentType: "text/plain", body: "internal error\n" };
      response.writeHead(500, { "Content-Type": contentType }).end(body);
    };
    void (async () => await needs.handler(request, response))().catch(fail);
  };
}

function reloadCertificate(server: Server, needs: HttpsServerNeeds): void {
  const pair = needs.certificate.current();
  if (pair === undefined) return;
  try {
    server.setSecureContext({ cert: pair.certificate, key: pair.key, minVersion: "TLSv1.2" });
    needs.log.info({ server: needs.name }, "certificate reloaded");
  } catch (error) {
    needs.log.error({ err: error, server: needs.name }, "the new certificate cannot be used; the old one stays");
  }
}

/** Cuts a connection beyond the limit of its client address. */
function limitConnections(server: Server, limit: number): void {
  const counts = new Map<string, number>();
  server.on("connection", (socket: Socket) => {
    const address = socket.remoteAddress ?? "";
    const count = (counts.get(address) ?? 0) + 1;
    counts.set(address, count);
    socket.once("close", () => {
      const left = (counts.get(address) ?? 1) - 1;
      if (left > 0) counts.set(address, left);
      else counts.delete(address);
    });
    if (count > limit) socket.destroy();
  });
}

async function listen(server: Server, needs: HttpsServerNeeds): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  const where = needs.host === undefined ? { port: needs.port } : { port: needs.port, host: needs.host };
  server.listen(where, () => {
    server.off("error", reject);
    server.on("error", (error) => needs.log.error({ err: error, server: needs.name }, "server error"));
    resolve();
  });
  await promise;
}

async function drain(
  server: Server,
  needs: HttpsServerNeeds & { readonly connections: Connections },
  limits: HttpsServerLimits,
): Promise<void> {
  const forever = new AbortController().signal;
  await needs.clock.sleep(limits.lingerMs, forever);
  const refused = needs.clock.sleep(limits.refuseMs, forever);
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const ended = new AbortController();
  const grace = needs.clock.sleep(limits.graceMs, ended.signal).then(
    () => {
      needs.log.warn({ server: needs.name }, "connections did not end in time and are cut");
      needs.connections.cut();
      server.closeAllConnections();
    },
    () => undefined,
  );
  await closed;
  ended.abort();
  await grace;
  await refused;
}

async function certificateArrived(source: CertificateSource, stop: AbortSignal): Promise<boolean> {
  if (source.current() !== undefined) return !stop.aborted;
  const { promise, resolve } = Promise.withResolvers<void>();
  source.onChange(() => {
    if (source.current() !== undefined) resolve();
  });
  await Promise.race([promise, aborted(stop)]);
  return !stop.aborted;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
