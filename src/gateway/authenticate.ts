import { createHash, timingSafeEqual } from "node:crypto";
import type { Clock } from "../clock.ts";
import { registryAudience } from "../config/names.ts";
import { type Login, loginMatches, parseLoginSubject } from "../credential/login.ts";
import { type Accounts, claimsAudience } from "./account.ts";
import type { Identity, Subject } from "./identity.ts";
import type { RegistrySecrets } from "./registry-secrets.ts";
import type { Standing } from "./standing.ts";
import type { Throttle } from "./throttle.ts";

export type LoginOutcome =
  | { readonly kind: "identified"; readonly identity: Identity }
  | { readonly kind: "refused" }
  /** Too many failed logins from this address. */
  | { readonly kind: "throttled" };

export type Authenticator = {
  /**
   * @param address of the client, for the throttle
   * @throws ApiError when the login needs a review and the API server does not answer
   */
  login(login: Login, address: string, signal: AbortSignal): Promise<LoginOutcome>;
};

/**
 * Who stands behind a user name and password. Right logins always go on; failed ones count, and beyond the limit are
 * answered 429. What can be checked here is checked before the API server is asked.
 */
export function createAuthenticator(needs: {
  readonly secrets: RegistrySecrets;
  readonly standing: Standing;
  readonly accounts: Accounts;
  readonly throttle: Throttle;
  readonly clock: Clock;
}): Authenticator {
  const { standing, throttle, accounts } = needs;
  const fail = (address: string): LoginOutcome => {
    const isOver = throttle.isOver(address);
    throttle.fail(address);
    return { kind: isOver ? "throttled" : "refused" };
  };
  const accept = (subject: Subject | undefined, address: string): LoginOutcome => {
    const identity = subject === undefined ? undefined : standing.resolve(subject);
    return identity === undefined ? fail(address) : { kind: "identified", identity };
  };
  return {
    async login(login, address, signal) {
      const subject = localSubject(needs.secrets, login);
      if (subject !== undefined) return accept(subject, address);
      const token = login.password;
      if (!claimsAudience(token, registryAudience, needs.clock.nowMs())) return fail(address);
      if (accounts.known(token) === undefined && throttle.isOver(address)) return { kind: "throttled" };
      const account = await accounts.authenticate(token, signal);
      return account === "refused" ? fail(address) : accept({ kind: "serviceAccount", ...account }, address);
    },
  };
}

/** The subject of a login that we can check ourselves: derived, admin, or a further user. */
function localSubject(secrets: RegistrySecrets, login: Login): Subject | undefined {
  const derived = parseLoginSubject(login.username);
  if (derived !== undefined && loginMatches(secrets.keys(), derived, login.password)) {
    return derived.purpose === "shared" ? { kind: "shared" } : { kind: "namespace", ...derived };
  }
  const admin = secrets.admin();
  if (admin !== undefined && same(admin.username, login.username) && same(admin.password, login.password)) {
    return { kind: "admin" };
  }
  const user = secrets.users().get(login.username);
  return user !== undefined && same(user.password, login.password) ? { kind: "user", name: login.username } : undefined;
}

/** Constant time, whatever the lengths. */
function same(expected: string, given: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(expected), digest(given));
}
