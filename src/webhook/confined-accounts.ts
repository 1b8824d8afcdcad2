import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { resources } from "../cluster/resource.ts";
import type { ObjectKey, ObservedStore } from "../cluster/store.ts";
import { pullSecretName } from "../config/names.ts";
import type { Log } from "../log.ts";

const annotation = "kubernetes.io/enforce-mountable-secrets";

/** What is kept of a ServiceAccount's metadata: almost all accounts are not annotated. */
export type AccountView = { readonly enforcesMountableSecrets: boolean };

export function projectAccount(object: KubernetesObject): AccountView {
  return object.metadata.annotations?.[annotation] === "true" ? enforcing : ordinary;
}
const enforcing: AccountView = { enforcesMountableSecrets: true };
const ordinary: AccountView = { enforcesMountableSecrets: false };

export type ConfinedAccounts = {
  /** Whether the API server would refuse a pod of this account that names our Secret. */
  isConfined(namespace: string, account: string): boolean;
  /** Starts to follow the annotated accounts; reads of them end with `stop`. */
  follow(stop: AbortSignal): void;
};

/**
 * Knows the ServiceAccounts whose pods may only name Secrets that the account's `imagePullSecrets` lists. Metadata
 * tells which accounts are annotated; those few are read whole, since metadata does not carry the list. An account
 * whose list is not known yet counts as confined: its pods are left alone rather than refused.
 *
 * @see https://kubernetes.io/docs/concepts/security/service-accounts/#enforce-mountable-secrets
 */
export function createConfinedAccounts(needs: {
  readonly accounts: ObservedStore<AccountView>;
  readonly api: ClusterApi;
  readonly log: Log;
}): ConfinedAccounts {
  const { accounts, api, log } = needs;
  const listsOurSecret = new Map<ObjectKey, boolean>();
  /** The last read of each account: an older one that ends later says nothing. */
  const reads = new Map<ObjectKey, symbol>();

  async function read(key: ObjectKey, stop: AbortSignal): Promise<void> {
    const [namespace = "", name = ""] = key.split("/");
    const own = Symbol(key);
    reads.set(key, own);
    try {
      const account = await api.get(resources.serviceAccounts, { namespace, name }, stop);
      if (reads.get(key) === own) listsOurSecret.set(key, namesSecret(account.imagePullSecrets, pullSecretName));
    } catch (error) {
      if (stop.aborted || (error instanceof ApiError && error.status === 404)) return;
      log.warn(
        { err: error, namespace, serviceAccount: name },
        "cannot read an account that enforces mountable secrets",
      );
    }
  }

  return {
    isConfined(namespace, account) {
      const key = `${namespace}/${account}`;
      return accounts.get(key)?.enforcesMountableSecrets === true && listsOurSecret.get(key) !== true;
    },
    follow(stop) {
      accounts.onChange((key) => {
        listsOurSecret.delete(key);
        if (accounts.get(key)?.enforcesMountableSecrets === true) void read(key, stop);
      });
    },
  };
}

function namesSecret(list: unknown, name: string): boolean {
  return Array.isArray(list) && list.some((entry: unknown) => (entry as { name?: unknown } | null)?.name === name);
}
