import type { IncomingMessage } from "node:http";
import { Registry } from "prom-client";
import type { Clock, Random } from "../clock.ts";
import type { Log } from "../log.ts";
import { type ApiError, type ApiRequest, type ApiTransport, applyContentType } from "./api.ts";
import { fullJitterMs } from "./backoff.ts";
import { createConnectionPool } from "./connection-pool.ts";
import { readBody, sendRequest } from "./exchange.ts";
import { errorOfAnswer, errorOfSilence, errorOfUnreadable } from "./failure.ts";
import type { ClusterSource } from "./kubeconfig.ts";
import { createRequestScopes, type RequestScope } from "./request-scope.ts";
import { createTokenBucket } from "./token-bucket.ts";
import { createTransportMeter } from "./transport-meter.ts";

export type TransportLimits = {
  /** Connections of the shared pool, watches included; 64 unless given. */
  readonly maxConnections?: number;
  /** Our own ceiling, with a burst of one second; no limit unless given. */
  readonly requestsPerSecond?: number;
  /** For one attempt, headers and body; 30 000 unless given. */
  readonly attemptTimeoutMs?: number;
  /** No further attempt begins later than this after the first; 30 000 unless given. */
  readonly retryForMs?: number;
};

export type ClusterTransport = ApiTransport & {
  /** Ends every connection; what is running fails. Resolves when the last request has ended. */
  close(): Promise<void>;
  /** `https://host:port` of the API server. */
  readonly server: string;
};

export type TransportNeeds = ClusterSource & {
  readonly limits?: TransportLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics?: Registry;
};

/**
 * The transport to the API server that the configuration names (docs/adr/0002): one keep-alive pool, an abort signal
 * and a deadline on every request, answers as raw JSON. GET and server-side apply are repeated after 429 (Retry-After
 * is honoured), 503 and a lost connection, with full jitter, until the signal aborts or `retryForMs` is over. Every
 * failure is an ApiError; one that the caller's signal caused has status 0 and reason `Aborted`.
 *
 * @throws SlipwayError KUBECONFIG_INVALID
 */
export function createTransport(needs: TransportNeeds): ClusterTransport {
  const { clock, random, log, limits = {} } = needs;
  const { maxConnections = 64, attemptTimeoutMs = 30_000, retryForMs = 30_000, requestsPerSecond } = limits;
  const pool = createConnectionPool({ source: needs, maxConnections, clock, log });
  const server = new URL(pool.server);
  const meter = createTransportMeter(needs.metrics ?? new Registry());
  const scopes = createRequestScopes(clock, attemptTimeoutMs);
  const closed = new AbortController();
  const bucket =
    requestsPerSecond === undefined
      ? undefined
      : createTokenBucket({ burst: Math.max(1, requestsPerSecond), perSecond: requestsPerSecond }, clock);

  const describe = (request: ApiRequest): string => `${request.method} ${pool.server}${request.path}`;
  const failureOf = (error: unknown, request: ApiRequest): ApiError =>
    errorOfSilence(error, describe(request), closed.signal.aborted ? closed.signal : request.signal);

  const attempt = async <T>(request: ApiRequest, read: ReadAnswer<T>, scope: RequestScope): Promise<T> => {
    const startedAtMs = clock.monotonicMs();
    let status = 0;
    scope.startAttempt();
    try {
      const answer = await sendRequest(request, { server, ...(await pool.connection()) }, scope.signal);
      status = answer.statusCode ?? 0;
      if (status < 400) return await read(answer, scope.signal, describe(request));
      const body = (await readBody(answer, scope.signal)).slice(0, 65_536);
      throw errorOfAnswer({ status, headers: answer.headers, body }, describe(request), clock.nowMs());
    } catch (error) {
      const failure = failureOf(error, request);
      if (failure.reason === "Timeout") pool.retire();
      throw failure;
    } finally {
      scope.endAttempt();
      meter.count(request.method, status, clock.monotonicMs() - startedAtMs);
    }
  };

  /** @returns the pause before another attempt; undefined when there is to be none */
  const decideRetry = async (failure: ApiError, failures: number, elapsedMs: number): Promise<number | undefined> => {
    if (failure.status === 401) return failures === 1 && (await pool.reload()) ? 0 : undefined;
    const delayMs = retryDelay(failure, failures, random);
    return delayMs !== undefined && elapsedMs + delayMs <= retryForMs ? delayMs : undefined;
  };

  const pause = async (durationMs: number, request: ApiRequest, scope: RequestScope): Promise<void> => {
    if (durationMs <= 0) return;
    try {
      await clock.sleep(durationMs, scope.signal);
    } catch (error) {
      throw failureOf(error, request);
    }
  };

  const perform = async <T>(request: ApiRequest, read: ReadAnswer<T>, scope: RequestScope): Promise<T> => {
    const startedAtMs = clock.monotonicMs();
    for (let failures = 1; ; failures++) {
      await pause(bucket?.reserve() ?? 0, request, scope);
      try {
        return await attempt(request, read, scope);
      } catch (error) {
        const failure = failureOf(error, request);
        // After 401 nothing was done, so that every method may be tried again with fresh credentials.
        const delayMs =
          request.retry === true || failure.status === 401
            ? await decideRetry(failure, failures, clock.monotonicMs() - startedAtMs)
            : undefined;
        if (delayMs === undefined) throw failure;
        meter.retried(failure.status);
        await pause(delayMs, request, scope);
      }
    }
  };

  return {
    server: pool.server,
    async json(request) {
      const scope = scopes.open(request.signal);
      try {
        return await perform({ ...request, retry: request.retry ?? mayRepeat(request) }, readJson, scope);
      } finally {
        scope.end();
      }
    },
    async stream(request) {
      const scope = scopes.open(request.signal);
      try {
        const answer = await perform(request, async (own) => own, scope);
        answer.once("close", scope.end);
        return answer;
      } catch (error) {
        scope.end();
        throw error;
      }
    },
    async close() {
      closed.abort(new Error("the transport is closed"));
      await scopes.close(closed.signal.reason);
      pool.close();
    },
  };
}

/** Turns an answer of success into a result. */
type ReadAnswer<T> = (answer: IncomingMessage, signal: AbortSignal, where: string) => Promise<T>;

async function readJson(answer: IncomingMessage, signal: AbortSignal, where: string): Promise<unknown> {
  const body = await readBody(answer, signal);
  try {
    return JSON.parse(body);
  } catch {
    throw errorOfUnreadable(where);
  }
}

function mayRepeat(request: ApiRequest): boolean {
  return request.method === "GET" || (request.method === "PATCH" && request.contentType === applyContentType);
}

/** @returns undefined for what another attempt would not better */
function retryDelay(failure: ApiError, failures: number, random: Random): number | undefined {
  const isPassing = [429, 503].includes(failure.status) || failure.reason === "ConnectionLost";
  if (!isPassing) return undefined;
  return (failure.retryAfterMs ?? 0) + fullJitterMs(failures, { minimumMs: 100, maximumMs: 10_000 }, random);
}
