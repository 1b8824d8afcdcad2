import type { IncomingMessage } from "node:http";
import type { Clock, Random } from "../clock.ts";
import type { Login } from "../credential/login.ts";
import { discardBody, expectStatus } from "./answer.ts";
import { createAuthorization } from "./authorization.ts";
import type { Exchange, ExchangeRequest } from "./exchange.ts";
import { createPatience } from "./patience.ts";
import { isRetryable } from "./registry-error.ts";

export type SessionRequest = Omit<ExchangeRequest, "headers"> & {
  readonly headers?: Readonly<Record<string, string>>;
  /** As in the token specification: `repository:demo/app:pull`, several separated by spaces. */
  readonly scope: string;
  readonly expect: readonly number[];
  /** It may be repeated: attempts in all when the registry does not answer or is busy; 1 unless given. */
  readonly attempts?: number;
};

/** Requests with the login, challenges answered and faults repeated. */
export type Session = {
  readonly origin: URL;
  /** @throws RegistryError for every status that is not expected; 401 means that the login was refused */
  send(request: SessionRequest): Promise<IncomingMessage>;
};

export function createSession(needs: {
  readonly exchange: Exchange;
  readonly login: () => Login | undefined;
  /** A request that may be repeated is, beyond its attempts, for so long. */
  readonly patienceMs: number;
  readonly clock: Clock;
  readonly random: Random;
}): Session {
  const { exchange, clock } = needs;
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
      const { attempts = 1, signal } = request;
      const patience = createPatience(needs, { attempts, patienceMs: attempts > 1 ? needs.patienceMs : 0 });
      for (;;) {
        try {
          return await sendAuthorized(request);
        } catch (error) {
          const delayMs = isRetryable(error) ? patience.afterFailure(error) : undefined;
          if (delayMs === undefined) throw error;
          await clock.sleep(delayMs, signal);
        }
      }
    },
  };
}
