import { type Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { tookStaleConnection } from "../http/stale-connection.ts";
import { type ConnectionNeeds, createConnectionPool } from "./connection.ts";
import { RegistryError } from "./registry-error.ts";

/** A body that can be read again from its start, so that a request can be repeated. */
export type RequestBody = { readonly size: number; readonly open: () => Readable };

export type ExchangeRequest = {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path and query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
  /** Silence on the connection for this long ends the exchange; 60 000 unless given. */
  readonly idleMs?: number;
  readonly signal: AbortSignal;
};

/** One origin over a pool of connections. Knows HTTP, not registries. */
export type Exchange = {
  readonly origin: URL;
  /** @returns the response once its headers are in, whatever its status. @throws RegistryError with status 0 */
  send(request: ExchangeRequest): Promise<IncomingMessage>;
  /** Ends idle connections; running ones end with their exchange. */
  close(): void;
};

const defaultIdleMs = 60_000;

export function createExchange(needs: ConnectionNeeds & { readonly maxSockets?: number }): Exchange {
  const agent = createConnectionPool(needs, { maxSockets: needs.maxSockets ?? 16 });
  return {
    origin: needs.origin,
    async send(request) {
      request.signal.throwIfAborted();
      try {
        return await sendOnce(agent, needs.origin, request);
      } catch (error) {
        request.signal.throwIfAborted();
        throw noAnswer(needs.origin, error);
      }
    },
    close: () => agent.destroy(),
  };
}

async function sendOnce(agent: Agent, origin: URL, request: ExchangeRequest): Promise<IncomingMessage> {
  for (;;) {
    const { outgoing, response } = start(agent, origin, request);
    try {
      return await response;
    } catch (error) {
      if (request.signal.aborted || !tookStaleConnection(outgoing, error)) throw error;
    }
  }
}

function start(
  agent: Agent,
  origin: URL,
  request: ExchangeRequest,
): { readonly outgoing: ClientRequest; readonly response: Promise<IncomingMessage> } {
  const length = request.body?.size ?? (request.method === "GET" || request.method === "HEAD" ? undefined : 0);
  const outgoing = httpRequest({
    agent,
    host: origin.hostname,
    method: request.method,
    path: request.path,
    signal: request.signal,
    headers: {
      host: origin.host,
      ...request.headers,
      ...(length === undefined ? {} : { "content-length": String(length) }),
    },
  });
  const idleMs = request.idleMs ?? defaultIdleMs;
  outgoing.setTimeout(idleMs, () => outgoing.destroy(new SilenceError(idleMs)));
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once("response", resolve);
    outgoing.once("error", reject);
    outgoing.once("close", () => reject(new Error("the connection ended without an answer")));
  });
  if (request.body === undefined) outgoing.end();
  else {
    // An answer that comes before the body is through ends the pipeline, too: the answer is what counts.
    pipeline(request.body.open(), outgoing).catch((error: Error) => outgoing.destroy(error));
  }
  return { outgoing, response };
}

class SilenceError extends Error {
  override readonly name = "SilenceError";
  readonly code = "ETIMEDOUT";
  constructor(idleMs: number) {
    super(`nothing was heard for ${idleMs} ms`);
  }
}

function noAnswer(origin: URL, error: unknown): RegistryError {
  if (error instanceof RegistryError) return error;
  const { code, message } = error as { code?: unknown; message?: unknown };
  const word = typeof code === "string" ? code : "NO_ANSWER";
  return new RegistryError({
    status: 0,
    code: word,
    message: `no answer from ${origin.origin}: ${typeof message === "string" ? message : word}`,
    cause: error,
  });
}
