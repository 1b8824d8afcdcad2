import {
  Agent,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request as open,
  type ServerResponse,
} from "node:http";
import type { Readable } from "node:stream";
import { readBody } from "../http/body.ts";
import { tookStaleConnection } from "../http/stale-connection.ts";
import type { AuditRecord } from "./audit.ts";
import { createContentSource } from "./content.ts";
import { answerHeaders, requestHeaders } from "./forwarded-headers.ts";
import { createIdleTimer, type IdleTimer } from "./idle-timer.ts";
import { type RegistryFault, sendError } from "./refusal.ts";
import { type Explain, faultLimitBytes, isFault, sendFault } from "./registry-fault.ts";

/** One request that has been allowed, on its way to Distribution. */
export type ForwardOrder = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Path and query, made by us. */
  readonly target: string;
  /** The body, when it has been read already; undefined: it is streamed, or there is none. */
  readonly body?: Buffer;
  readonly headers?: OutgoingHttpHeaders;
  /** A blob or a manifest is asked for: what comes has a length. */
  readonly isContent?: boolean;
  /** Asked what to say instead of a 5xx. */
  readonly explain?: Explain;
  readonly record: AuditRecord;
};

export type ForwardOutcome = { readonly status: number; readonly headers: IncomingHttpHeaders };

export type Forwarder = {
  /** Streams both ways. @returns the answer's head after its end; undefined when there was none or it broke off */
  forward(order: ForwardOrder): Promise<ForwardOutcome | undefined>;
  close(): void;
};

export type ForwardLimits = {
  /** A client that neither sends nor reads for so long is cut off. */
  readonly idleMs: number;
  /** Distribution may take so long from the last byte of a request to the first of its answer. */
  readonly answerMs: number;
};

/** Committing a large blob to an object store takes minutes without a byte on the wire. */
export const defaultForwardLimits: ForwardLimits = { idleMs: 60_000, answerMs: 600_000 };

/** Forwards to Distribution: content over connections of its own, all else by node:http. */
export function createForwarder(needs: { readonly url: string; readonly limits?: ForwardLimits }): Forwarder {
  const base = new URL(needs.url);
  const agent = new Agent({ keepAlive: true, maxFreeSockets: 64 });
  const limits = needs.limits ?? defaultForwardLimits;
  const content = createContentSource({ host: base.hostname, port: Number(base.port), limits });
  const attempt = (order: ForwardOrder): Promise<Attempt> => {
    const { promise, resolve } = Promise.withResolvers<Attempt>();
    const upstream = open({
      agent,
      host: base.hostname,
      port: base.port,
      method: order.request.method,
      path: order.target,
      headers: requestHeaders(order.request, declaredBody(order), order.headers),
      setHost: false,
    });
    exchange({ order, upstream, limits, resolve });
    return promise;
  };
  const send = async (order: ForwardOrder): Promise<Attempt> => {
    const sent = order.isContent === true && isRead(order) ? await content.send(order) : undefined;
    if (sent?.kind === "answered") return { kind: "answered", status: sent.head.status, headers: sent.head.headers };
    if (sent !== undefined && sent.kind !== "unsuited") return { kind: "broken" };
    const first = await attempt(order);
    // Distribution may close a kept connection at the moment we use it; without a body nothing is lost by asking again.
    return first.kind === "stale" ? attempt(order) : first;
  };
  return {
    close() {
      content.close();
      agent.destroy();
    },
    async forward(order) {
      // Who left while its rights were looked at tells nobody any more when to stop.
      if (order.response.destroyed) return undefined;
      const outcome = await send(order);
      if (outcome.kind === "answered") return outcome;
      if (!order.response.headersSent) {
        const { status, error } = outcome.kind === "stalled" ? stalled : unanswered;
        sendError(order.response, status, error);
      } else if (!order.response.writableEnded) order.response.destroy();
      return undefined;
    },
  };
}

const unanswered: RegistryFault = {
  status: 502,
  error: { code: "UNAVAILABLE", message: "the registry does not answer" },
};
const stalled: RegistryFault = {
  status: 408,
  error: { code: "UNSUPPORTED", message: "the body did not come in time" },
};

type Attempt =
  | { readonly kind: "answered"; readonly status: number; readonly headers: IncomingHttpHeaders }
  | { readonly kind: "broken" }
  /** The client stopped in the middle of its body. */
  | { readonly kind: "stalled" }
  /** A kept connection was closed before anything was answered. */
  | { readonly kind: "stale" };

type Exchange = {
  readonly order: ForwardOrder;
  readonly upstream: ClientRequest;
  readonly limits: ForwardLimits;
  readonly resolve: (attempt: Attempt) => void;
};

function exchange(running: Exchange): void {
  const { order, upstream, limits, resolve } = running;
  const { response } = order;
  let isIdle = false;
  const idle = createIdleTimer(limits.idleMs, () => {
    isIdle = true;
    upstream.destroy(new Error("nobody sent or read for too long"));
  });
  const finish = (attempt: Attempt): void => {
    idle.stop();
    response.off("close", giveUp);
    // What is still on its way is read and dropped, so that the connection can carry the answer.
    order.request.unpipe(upstream);
    order.request.resume();
    resolve(attempt);
  };
  const giveUp = (): void => {
    upstream.destroy();
  };
  response.once("close", giveUp);
  upstream.once("error", (error) => {
    const isUntouched = !response.headersSent && !response.destroyed;
    if (isRepeatable(order) && isUntouched && tookStaleConnection(upstream, error)) finish({ kind: "stale" });
    else finish({ kind: isIdle && !order.request.complete ? "stalled" : "broken" });
  });
  upstream.once("response", (answer) => {
    idle.restart(limits.idleMs);
    if (isFault(order.request.method, answer.statusCode ?? 502)) void restateFault(running, answer, finish);
    else sendAnswer(running, answer, idle, finish);
  });
  sendRequest(running, idle);
}

function sendRequest({ order, upstream, limits }: Exchange, idle: IdleTimer): void {
  const { request, body, record } = order;
  if (body !== undefined || isRepeatable(order)) {
    record.bytesIn = body?.length ?? 0;
    idle.restart(limits.answerMs);
    upstream.end(body);
    return;
  }
  request.on("data", (chunk: Buffer) => {
    record.bytesIn += chunk.length;
    idle.touch();
  });
  request.once("end", () => idle.restart(limits.answerMs));
  // A request that breaks off must not look like one that ended: Distribution would take what came as the whole.
  request.once("close", () => {
    if (!request.complete) upstream.destroy(new Error("the client broke off"));
  });
  request.pipe(upstream);
}

function sendAnswer(
  { order, upstream }: Exchange,
  answer: IncomingMessage,
  idle: IdleTimer,
  finish: (attempt: Attempt) => void,
): void {
  const { request, response, record } = order;
  // An answer before the end of the request is a refusal: the rest is read and dropped, so that the client sees it.
  if (!request.complete) {
    request.unpipe(upstream);
    request.resume();
  }
  const { statusCode = 502 } = answer;
  response.writeHead(statusCode, answerHeaders(statusCode, answer.headers));
  answer.on("data", (chunk: Buffer) => {
    record.bytesOut += chunk.length;
    idle.touch();
  });
  const settle = (isWhole: boolean) => {
    finish(isWhole ? { kind: "answered", status: statusCode, headers: answer.headers } : { kind: "broken" });
  };
  response.once("finish", () => settle(answer.complete));
  answer.once("close", () => {
    if (!answer.complete) settle(false);
  });
  response.once("close", () => settle(response.writableFinished && answer.complete));
  (answer as Readable).pipe(response);
}

/** A fault has a short body: it is read, so that it can be said in other words. */
async function restateFault(
  { order, upstream }: Exchange,
  answer: IncomingMessage,
  finish: (attempt: Attempt) => void,
): Promise<void> {
  const { request, response, record, explain } = order;
  if (!request.complete) {
    request.unpipe(upstream);
    request.resume();
  }
  const { statusCode = 502, headers } = answer;
  const read = await readBody(answer, { limitBytes: faultLimitBytes });
  const body = read.kind === "body" ? read.bytes : Buffer.alloc(0);
  record.bytesOut += body.length;
  if (response.destroyed) return finish({ kind: "broken" });
  response.once("close", () => finish({ kind: "broken" }));
  const status = sendFault(response, { status: statusCode, headers, body }, explain);
  response.once("finish", () => finish({ kind: "answered", status, headers }));
}

/** Requests of these methods are sent without a body. */
function isRepeatable({ request, body }: ForwardOrder): boolean {
  return body === undefined && ["GET", "HEAD", "DELETE"].includes(request.method ?? "");
}

function isRead({ request }: ForwardOrder): boolean {
  return request.method === "GET" || request.method === "HEAD";
}

function declaredBody(order: ForwardOrder): { readonly length: number | "as declared" } | undefined {
  if (order.body !== undefined) return { length: order.body.length };
  return isRepeatable(order) ? undefined : { length: "as declared" };
}
