import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { AccessReviewer } from "../cluster/access-review.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { ObservedStore } from "../cluster/store.ts";
import type { TokenReviewer } from "../cluster/token-review.ts";
import { group, nodeAgentAccount, nodeNamespace, registryAudience } from "../config/names.ts";
import type { RepositoryQuestion } from "./access.ts";
import { createBoundedCache } from "./bounded-cache.ts";

export type AccountName = { readonly namespace: string; readonly name: string };

/** Bound to its namespace as it was at the review: what is made again under the same names is another one. */
export type Account = AccountName & {
  /** Of the namespace. */
  readonly uid: string;
};

/** ServiceAccounts and their rights, as the cluster knows them. Answers are remembered for at most 60 s. */
export type Accounts = {
  /** A remembered answer, without asking; undefined: not known. */
  known(token: string): Account | "refused" | undefined;
  /** Refused is also one whose namespace is not known yet, or no more. @throws ApiError when the API server does not answer */
  authenticate(token: string, signal: AbortSignal): Promise<Account | "refused">;
  /** @throws ApiError when the API server does not answer */
  isAllowed(account: Account, question: RepositoryQuestion, signal: AbortSignal): Promise<boolean>;
};

const rememberMs = 60_000;
const refusedMs = 10_000;

export function createAccounts(needs: {
  /** Metadata is enough. */
  readonly namespaces: ObservedStore<KubernetesObject>;
  readonly tokenReviewer: TokenReviewer;
  readonly accessReviewer: AccessReviewer;
  readonly clock: Clock;
}): Accounts {
  const identities = createBoundedCache<Account | "refused">({ clock: needs.clock, maxEntries: 10_000 });
  const rights = createBoundedCache<boolean>({ clock: needs.clock, maxEntries: 50_000 });
  const known = (token: string) => identities.get(hash(token));
  return {
    known,
    async authenticate(token, signal) {
      const remembered = known(token);
      if (remembered !== undefined) return remembered;
      const verdict = await needs.tokenReviewer.review(token, registryAudience, signal);
      const isMeantForUs = verdict.kind === "authenticated" && verdict.audiences.includes(registryAudience);
      const name = isMeantForUs ? parseAccount(verdict.username) : undefined;
      if (name === undefined || isNodeAgent(name)) {
        identities.set(hash(token), "refused", refusedMs);
        return "refused";
      }
      const uid = needs.namespaces.get(name.namespace)?.metadata.uid;
      // Not remembered: a namespace that was made a moment ago comes with the next event.
      if (uid === undefined) return "refused";
      const account = { ...name, uid };
      identities.set(hash(token), account, rememberMs);
      return account;
    },
    async isAllowed(account, question, signal) {
      const key = JSON.stringify([account.namespace, account.uid, account.name, question]);
      const remembered = rights.get(key);
      if (remembered !== undefined) return remembered;
      const { verb, namespace, name } = question;
      const isAllowed = await needs.accessReviewer.review(
        {
          user: `system:serviceaccount:${account.namespace}:${account.name}`,
          groups: ["system:serviceaccounts", `system:serviceaccounts:${account.namespace}`, "system:authenticated"],
          resourceAttributes: {
            verb,
            group,
            resource: "repositories",
            ...(namespace === undefined ? {} : { namespace }),
            ...(name === "" ? {} : { name }),
          },
        },
        signal,
      );
      rights.set(key, isAllowed, rememberMs);
      return isAllowed;
    },
  };
}

/** Its token lies on every node, and is for reports to serve: it is nobody here, whatever audience it was made for. */
function isNodeAgent({ namespace, name }: AccountName): boolean {
  return namespace === nodeNamespace && name === nodeAgentAccount;
}

/** @returns the account of a user name `system:serviceaccount:<namespace>:<name>` */
export function parseAccount(username: string): AccountName | undefined {
  const [system, kind, namespace, name, ...more] = username.split(":");
  if (system !== "system" || kind !== "serviceaccount" || more.length > 0) return undefined;
  return namespace && name ? { namespace, name } : undefined;
}

/**
 * What a ServiceAccount's token claims, read without asking anybody: whether it is worth a review at all.
 *
 * @returns false for what is no such token, is expired, or is not meant for `audience`
 */
export function claimsAudience(token: string, audience: string, nowMs: number): boolean {
  const payload = token.length > 16_384 ? undefined : token.split(".")[1];
  if (payload === undefined) return false;
  try {
    const { aud, exp, sub } = JSON.parse(Buffer.from(payload, "base64url").toString("utf8")) as Record<string, unknown>;
    const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
    const isFresh = typeof exp === "number" && exp * 1_000 > nowMs;
    return audiences.includes(audience) && isFresh && typeof sub === "string" && parseAccount(sub) !== undefined;
  } catch {
    // A password that is no token.
    return false;
  }
}

function hash(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}
