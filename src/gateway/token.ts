import {
  createPrivateKey,
  createPublicKey,
  hash,
  type KeyObject,
  randomUUID,
  sign,
  verify,
  X509Certificate,
} from "node:crypto";
import { promisify } from "node:util";
import type { Clock } from "../clock.ts";
import { type CertificatePair, isIssuedBy, readBundle } from "../tls/certificate.ts";
import type { CertificateSource } from "../tls/serving-certificate.ts";
import { createBoundedCache } from "./bounded-cache.ts";
import { type ResourceActions, type TokenClaims, tokenIssuer, tokenLifeSeconds, tokenService } from "./token-claims.ts";

const signAsync = promisify(sign);
const verifyAsync = promisify(verify);

export type IssuedToken = {
  readonly token: string;
  readonly expiresInSeconds: number;
  /** RFC 3339. */
  readonly issuedAt: string;
};

export type TokenIssuer = {
  /** @returns undefined while there is no certificate to sign with */
  issue(subject: string, access: readonly ResourceActions[]): Promise<IssuedToken | undefined>;
};

/**
 * Issues tokens that Distribution verifies: RS256, with the leaf of our token CA as `x5c`, so that a new leaf needs
 * no restart of Distribution.
 *
 * @see https://distribution.github.io/distribution/spec/auth/jwt/
 */
export function createTokenIssuer(needs: { readonly signing: CertificateSource; readonly clock: Clock }): TokenIssuer {
  let last: { readonly pair: CertificatePair; readonly head: string; readonly key: KeyObject } | undefined;
  /** The key is read once: that costs as much as a signature. */
  const signer = () => {
    const pair = needs.signing.current();
    if (pair !== undefined && pair !== last?.pair) {
      const head = encodePart({ alg: "RS256", typ: "JWT", x5c: [derOf(pair.certificate)] });
      last = { pair, head, key: createPrivateKey(pair.key) };
    }
    return pair && last;
  };
  return {
    async issue(subject, access) {
      const current = signer();
      if (current === undefined) return undefined;
      const nowSeconds = Math.floor(needs.clock.nowMs() / 1_000);
      const claims: TokenClaims = {
        iss: tokenIssuer,
        sub: subject,
        aud: tokenService,
        exp: nowSeconds + tokenLifeSeconds,
        nbf: nowSeconds - 10,
        iat: nowSeconds,
        jti: randomUUID(),
        access,
      };
      const signed = `${current.head}.${encodePart(claims)}`;
      const signature = await signAsync("sha256", Buffer.from(signed), current.key);
      return {
        token: `${signed}.${signature.toString("base64url")}`,
        expiresInSeconds: tokenLifeSeconds,
        issuedAt: new Date(nowSeconds * 1_000).toISOString(),
      };
    },
  };
}

export type TokenVerifier = {
  /** @returns the claims of a token of any of our gateways that is valid now; undefined for everything else */
  verify(token: string): Promise<TokenClaims | undefined>;
};

/**
 * Verifies what createTokenIssuer made, on whichever replica and under whichever leaf of the token CAs. A token comes
 * with each of a client's requests: a signature that was genuine is remembered for a minute, its time never.
 *
 * @param needs.authorities PEM of the token CAs, current and previous
 */
export function createTokenVerifier(needs: {
  readonly authorities: () => string;
  readonly clock: Clock;
}): TokenVerifier {
  const { clock } = needs;
  const keys = createBoundedCache<KeyObject>({ clock, maxEntries: 16 });
  const genuine = createBoundedCache<Genuine>({ clock, maxEntries: 512 });
  const keyOf = (leaf: string, authorities: string): KeyObject | undefined => {
    const cacheKey = `${authorities}${leaf}`;
    const known = keys.get(cacheKey);
    if (known !== undefined) return known;
    const key = trustedKey(leaf, authorities, clock.nowMs());
    if (key !== undefined) keys.set(cacheKey, key, rememberMs);
    return key;
  };
  return {
    async verify(token) {
      if (token.length > maxTokenLength) return undefined;
      const authorities = needs.authorities();
      const cacheKey = hash("sha256", token, "base64");
      const known = genuine.get(cacheKey);
      const isKnown = known?.authorities === authorities;
      const claims = isKnown ? known.claims : await readGenuine(token, (leaf) => keyOf(leaf, authorities));
      if (claims === undefined || !isCurrent(claims, clock.nowMs() / 1_000)) return undefined;
      if (!isKnown) genuine.set(cacheKey, { claims, authorities }, rememberMs);
      return claims;
    },
  };
}

/** Claims of a token that one of these authorities stands behind. */
type Genuine = { readonly claims: TokenClaims; readonly authorities: string };

const rememberMs = 60_000;

/** The claims of a token with a true signature of a leaf that is trusted now; says nothing about what they claim. */
async function readGenuine(
  token: string,
  keyOf: (leaf: string) => KeyObject | undefined,
): Promise<TokenClaims | undefined> {
  const [head = "", body = "", signature = "", ...more] = token.split(".");
  const header = decodePart(head) as { readonly alg?: unknown; readonly x5c?: unknown } | undefined;
  const claims = readClaims(decodePart(body));
  if (more.length > 0 || header?.alg !== "RS256" || !Array.isArray(header.x5c) || claims === undefined) {
    return undefined;
  }
  const [leaf] = header.x5c as readonly unknown[];
  const key = typeof leaf === "string" ? keyOf(leaf) : undefined;
  if (key === undefined) return undefined;
  const data = Buffer.from(`${head}.${body}`);
  return (await verifyAsync("sha256", data, key, Buffer.from(signature, "base64url"))) ? claims : undefined;
}

/** Ours have 8 KiB at most, see parseScopes. */
const maxTokenLength = 16 * 1024;

function isCurrent(claims: TokenClaims, nowSeconds: number): boolean {
  const isOurs = claims.iss === tokenIssuer && claims.aud === tokenService;
  return isOurs && nowSeconds < claims.exp && nowSeconds >= claims.nbf - 60;
}

function trustedKey(leaf: string, authorities: string, nowMs: number): KeyObject | undefined {
  try {
    const certificate = new X509Certificate(Buffer.from(leaf, "base64"));
    const isTrusted = readBundle(authorities).some((authority) => isIssuedBy(certificate.toString(), authority.pem));
    if (!isTrusted || certificate.ca || nowMs >= certificate.validToDate.getTime()) return undefined;
    return createPublicKey(certificate.publicKey.export({ type: "spki", format: "pem" }));
  } catch {
    // What cannot be read as a certificate has signed nothing of ours.
    return undefined;
  }
}

function readClaims(value: unknown): TokenClaims | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { iss, sub, aud, exp, nbf, access } = value as Record<string, unknown>;
  const isComplete =
    [iss, sub, aud].every((text) => typeof text === "string") &&
    [exp, nbf].every((time) => typeof time === "number") &&
    Array.isArray(access) &&
    access.every(isResourceActions);
  return isComplete ? (value as TokenClaims) : undefined;
}

function isResourceActions(value: unknown): value is ResourceActions {
  if (typeof value !== "object" || value === null) return false;
  const { type, name, actions } = value as Record<string, unknown>;
  return typeof type === "string" && typeof name === "string" && Array.isArray(actions);
}

function encodePart(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function decodePart(part: string): unknown {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    // No JSON, no token.
    return undefined;
  }
}

function derOf(pem: string): string {
  return new X509Certificate(pem).raw.toString("base64");
}
