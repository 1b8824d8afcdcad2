/** What a registry asks for in `WWW-Authenticate`. */
export type Challenge =
  | { readonly kind: "basic" }
  | {
      readonly kind: "bearer";
      readonly realm: string;
      readonly service: string | undefined;
      readonly scope: string | undefined;
      /** `insufficient_scope`, `invalid_token`, or undefined. */
      readonly error: string | undefined;
    };

/**
 * The first challenge that we can answer; Bearer is preferred where both are offered.
 *
 * @param header the value of `WWW-Authenticate`; several challenges may stand in one line
 * @returns undefined when there is none of them, or a Bearer challenge has no realm
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1 and
 *   https://distribution.github.io/distribution/spec/auth/token/
 */
export function parseChallenge(header: string | undefined): Challenge | undefined {
  if (header === undefined) return undefined;
  const bearer = /(?:^|,)\s*bearer\s+(.*)$/is.exec(header)?.[1];
  const parameters = new Map<string, string>();
  for (const match of (bearer ?? "").matchAll(/([a-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/gi)) {
    const [, name = "", quoted, bare] = match;
    const key = name.toLowerCase();
    if (!parameters.has(key)) parameters.set(key, quoted?.replace(/\\(.)/g, "$1") ?? bare ?? "");
  }
  const realm = parameters.get("realm");
  if (realm !== undefined && realm !== "") {
    return {
      kind: "bearer",
      realm,
      service: parameters.get("service"),
      scope: parameters.get("scope"),
      error: parameters.get("error"),
    };
  }
  return /(?:^|,)\s*basic(?:\s|$)/i.test(header) ? { kind: "basic" } : undefined;
}
