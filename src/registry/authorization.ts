import type { Clock } from "../clock.ts";
import type { Login } from "../credential/login.ts";
import { readJson } from "./answer.ts";
import { type Challenge, parseChallenge } from "./challenge.ts";
import { addressOf, createTcpConnect } from "./connection.ts";
import { createExchange, type Exchange } from "./exchange.ts";
import { RegistryError } from "./registry-error.ts";

/** Answers a registry's challenges; tokens are kept per scope until shortly before they end. */
export type Authorization = {
  /** The value of `Authorization` for a request of this scope, or undefined before the first challenge. */
  header(scope: string, signal: AbortSignal): Promise<string | undefined>;
  /** Takes the challenge of a 401. @returns whether trying again may help */
  challenged(wwwAuthenticate: string | undefined, scope: string): boolean;
};

type Token = { readonly value: string; readonly endsAtMs: number };

const expiryMarginMs = 10_000;
/** By the token specification, for an answer without `expires_in`. */
const defaultLifeSeconds = 60;
const tokenLimit = 1_000;

/**
 * The token flow of the distribution project (GET of the realm with Basic), and plain Basic where that is asked for.
 * The login goes to the registry's own origin, and to another realm over https only.
 *
 * @param needs.login read at each use, so that a changed password is seen; undefined: anonymous
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
export function createAuthorization(needs: {
  readonly exchange: Exchange;
  readonly login: () => Login | undefined;
  readonly clock: Clock;
}): Authorization {
  const { exchange, login, clock } = needs;
  const tokens = new Map<string, Token>();
  let challenge: Challenge | undefined;
  let usedLogin = "";

  const forgetOnNewLogin = (): void => {
    const current = basicHeader(login()) ?? "";
    if (current !== usedLogin) tokens.clear();
    usedLogin = current;
  };

  const keep = (scope: string, token: Token): void => {
    if (tokens.size >= tokenLimit) tokens.clear();
    tokens.set(scope, token);
  };

  return {
    async header(scope, signal) {
      forgetOnNewLogin();
      if (challenge === undefined) return undefined;
      if (challenge.kind === "basic") return basicHeader(login());
      const kept = tokens.get(scope);
      if (kept !== undefined && kept.endsAtMs - expiryMarginMs > clock.monotonicMs()) return `Bearer ${kept.value}`;
      const token = await fetchToken({ exchange, login: login(), challenge, clock }, scope, signal);
      keep(scope, token);
      return `Bearer ${token.value}`;
    },
    challenged(wwwAuthenticate, scope) {
      const next = parseChallenge(wwwAuthenticate);
      tokens.delete(scope);
      if (next === undefined) return false;
      challenge = next;
      return true;
    },
  };
}

async function fetchToken(
  needs: {
    readonly exchange: Exchange;
    readonly login: Login | undefined;
    readonly challenge: Challenge & { kind: "bearer" };
    readonly clock: Clock;
  },
  scope: string,
  signal: AbortSignal,
): Promise<Token> {
  const { challenge, login, clock } = needs;
  const realm = new URL(challenge.realm, needs.exchange.origin);
  if (challenge.service !== undefined) realm.searchParams.set("service", challenge.service);
  for (const one of scope.split(" ")) if (one !== "") realm.searchParams.append("scope", one);
  const { exchange, close } = exchangeFor(realm, needs.exchange);
  try {
    const authorization = basicHeader(login);
    const asked = { origin: exchange.origin, method: "GET", path: `${realm.pathname}${realm.search}` } as const;
    const response = await exchange.send({
      ...asked,
      headers: { accept: "application/json", ...(authorization === undefined ? {} : { authorization }) },
      signal,
    });
    return readToken(await readJson(response, asked, [200]), clock);
  } finally {
    close();
  }
}

function exchangeFor(realm: URL, own: Exchange): { readonly exchange: Exchange; readonly close: () => void } {
  if (realm.host === own.origin.host) return { exchange: own, close: () => undefined };
  if (realm.protocol !== "https:") {
    throw new RegistryError({
      status: 401,
      code: "REALM_REFUSED",
      message: `${own.origin.origin} sends logins to ${realm.origin}: another host without TLS; the login was not sent`,
    });
  }
  const exchange = createExchange({
    origin: realm,
    connect: createTcpConnect(addressOf(realm)),
    ca: () => undefined,
  });
  return { exchange, close: exchange.close };
}

function readToken(answer: unknown, clock: Clock): Token {
  const { token, access_token, expires_in } = (answer ?? {}) as Record<string, unknown>;
  const value = typeof token === "string" ? token : access_token;
  if (typeof value !== "string" || value === "") {
    throw new RegistryError({
      status: 200,
      code: "TOKEN_INVALID",
      message: "the token endpoint answered without a token",
    });
  }
  const lifeSeconds = typeof expires_in === "number" && expires_in > 0 ? expires_in : defaultLifeSeconds;
  return { value, endsAtMs: clock.monotonicMs() + lifeSeconds * 1_000 };
}

function basicHeader(login: Login | undefined): string | undefined {
  if (login === undefined) return undefined;
  return `Basic ${Buffer.from(`${login.username}:${login.password}`).toString("base64")}`;
}
