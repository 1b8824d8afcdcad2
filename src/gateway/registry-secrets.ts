import type { KubernetesObject } from "../cluster/object.ts";
import type { ObservedStore } from "../cluster/store.ts";
import type { RegistryKey } from "../config/compiled.ts";
import { registryAdminSecretName, registryKeysSecretName, registryUsersSecretName } from "../config/names.ts";
import type { Login } from "../credential/login.ts";
import type { Log } from "../log.ts";
import { readRegistryKeys } from "../registry/keys.ts";
import { readAdminLogin } from "../registry/secrets.ts";
import { type RegistryUsers, readRegistryUsers } from "./registry-users.ts";
import { remembered } from "./remembered.ts";

/** The logins that the gateway knows, read from the Secrets as they stand. */
export type RegistrySecrets = {
  /** Newest first; empty until the Secret has been read. A Secret that is damaged or gone changes nothing. */
  keys(): readonly RegistryKey[];
  admin(): Login | undefined;
  users(): RegistryUsers;
};

export function createRegistrySecrets(needs: {
  readonly namespace: string;
  readonly keys: ObservedStore<KubernetesObject>;
  readonly admin: ObservedStore<KubernetesObject>;
  readonly users: ObservedStore<KubernetesObject>;
  readonly log: Log;
}): RegistrySecrets {
  let goodKeys: readonly RegistryKey[] = [];
  const keys = remembered(needs.keys, `${needs.namespace}/${registryKeysSecretName}`, (secret) => {
    const read = readRegistryKeys(secret);
    if (read === undefined && secret !== undefined) {
      needs.log.error({ secret: registryKeysSecretName }, "the key Secret cannot be read; known keys stay accepted");
    }
    goodKeys = read ?? goodKeys;
    return goodKeys;
  });
  const users = remembered(needs.users, `${needs.namespace}/${registryUsersSecretName}`, (secret) => {
    const { users: known, invalid } = readRegistryUsers(secret);
    if (invalid.length > 0)
      needs.log.warn(
        { users: invalid },
        `users of Secret ${registryUsersSecretName} that cannot be read cannot log in`,
      );
    return known;
  });
  const admin = remembered(needs.admin, `${needs.namespace}/${registryAdminSecretName}`, readAdminLogin);
  return { keys, users, admin };
}
