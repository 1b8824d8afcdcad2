import type { IncomingMessage } from "node:http";
import type { Clock, Random } from "../clock.ts";
import type { Login } from "../credential/login.ts";
import { discardBody, expectStatus } from "./answer.ts";
import { createAuthorization } from "./authorization.ts";
import type { Exchange, ExchangeRequest } from "./exchange.ts";
import { isRetryable, RegistryError } from "./registry-error.ts";

export type SessionRequest = Omit<ExchangeRequest, "headers"> & {
  readonly headers?: Readonly<Record<string, string>>;
  /** As in the token specification: `repository:demo/app:pull`, several separated by spaces. */
  readonly scope: string;
  readonly expect: readonly number[];
  /** Attempts in all when the registry does not answer or is busy; 1 unless given. */
  readonly attempts?: number;
};

/** Requests with the login, challenges answered and faults repeated. */
export type Session = {
  readonly origin: URL;
  /** @throws RegistryError for every status that is not expected; 401 means that the login was refused */
  send(request: SessionRequest): Promise<IncomingMessage>;
};

const firstDelayMs = 100;
const longestDelayMs = 5_000;

export function createSession(needs: {
  readonly exchange: Exchange;
  readonly login: () => Login | undefined;
  readonly clock: Clock;
  readonly random: Random;
}): Session {
  const { exchange, clock, random } = needs;
  const authorization = createAuthorization(needs);

  async function sendAuthorized(request: SessionRequest): Promise<IncomingMessage> {
    for (let refusals = 0; ; refusals++) {
      const header = await authorization.header(request.scope, request.signal);
      const response = await exchange.send({
        ...request,
        headers: { ...request.headers, ...(header === undefined ? {} : { authorization: header }) },
      });
      const again =
        response.statusCode === 401 &&
        refusals === 0 &&
        authorization.challenged(response.headers["www-authenticate"], request.scope);
      if (!again) {
        await expectStatus(response, { ...request, origin: exchange.origin }, request.expect);
        return response;
      }
      await discardBody(response);
    }
  }

  return {
    origin: exchange.origin,
    async send(request) {
      const attempts = request.attempts ?? 1;
      for (let attempt = 1; ; attempt++) {
        try {
          return await sendAuthorized(request);
        } catch (error) {
          if (attempt >= attempts || !isRetryable(error) || request.signal.aborted) throw error;
          await clock.sleep(retryDelayMs(error, attempt, random), request.signal);
        }
      }
    },
  };
}

/** Full jitter below a doubling ceiling, or what the registry asks for. Milliseconds. */
export function retryDelayMs(error: unknown, attempt: number, random: Random): number {
  const asked = error instanceof RegistryError ? error.retryAfterMs : undefined;
  if (asked !== undefined) return Math.min(asked, longestDelayMs * 6);
  return random() * Math.min(longestDelayMs, firstDelayMs * 2 ** attempt);
}
