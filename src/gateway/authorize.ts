import { type AccessPolicy, type AccessVerdict, decideAccess, decideListing } from "./access.ts";
import type { Accounts } from "./account.ts";
import type { Action, Identity } from "./identity.ts";

/** The matrix with the cluster's answers filled in. */
export type Authorizer = {
  /**
   * @param signal ends a review; absent: ten seconds. Most identities need none
   * @throws ApiError when a review is needed and the API server does not answer
   */
  mayDo(identity: Identity, action: Action, repository: string, signal?: AbortSignal): Promise<boolean>;
  /** Whether the catalogue shows it. @throws ApiError as above */
  mayList(identity: Identity, repository: string, signal: AbortSignal): Promise<boolean>;
};

const reviewMs = 10_000;

export function createAuthorizer(needs: {
  readonly accounts: Accounts;
  readonly policy: () => AccessPolicy;
}): Authorizer {
  const settle = async (identity: Identity, verdict: AccessVerdict, signal?: AbortSignal): Promise<boolean> => {
    if (verdict.kind !== "review") return verdict.kind === "allowed";
    if (identity.kind !== "serviceAccount") return false;
    return await needs.accounts.isAllowed(identity, verdict.question, signal ?? AbortSignal.timeout(reviewMs));
  };
  return {
    mayDo: (identity, action, repository, signal) =>
      settle(identity, decideAccess(identity, action, repository, needs.policy()), signal),
    mayList: (identity, repository, signal) =>
      settle(identity, decideListing(identity, repository, needs.policy()), signal),
  };
}
