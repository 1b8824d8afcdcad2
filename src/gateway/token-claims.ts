/** `service` of every challenge and `aud` of every token: a string, since Distribution 2.8 refuses a list. */
export const tokenService = "slipway-registry";
export const tokenIssuer = "slipway-gateway";
export const tokenLifeSeconds = 300;

/** One entry of `access`, and one scope of a request. */
export type ResourceActions = {
  /** `repository`, or `registry` for the catalogue. */
  readonly type: string;
  readonly name: string;
  /** `pull`, `push`, `delete`, or `*`. */
  readonly actions: readonly string[];
};

/** @see https://distribution.github.io/distribution/spec/auth/jwt/ */
export type TokenClaims = {
  readonly iss: string;
  readonly sub: string;
  readonly aud: string;
  /** Seconds since the epoch. */
  readonly exp: number;
  readonly nbf: number;
  readonly iat: number;
  readonly jti: string;
  readonly access: readonly ResourceActions[];
};
