import type { KubernetesObject } from "../cluster/object.ts";
import {
  managedByLabel,
  managedByValue,
  registryAdminSecretName,
  registryHttpSecretName,
  registryKeysSecretName,
} from "../config/names.ts";
import type { Finding } from "./finding.ts";
import { keysDataKey, nextGeneration, readRegistryKeys, writeRegistryKeys } from "./keys.ts";

/** The Secrets of the hosted registry as found; undefined where there is none. */
export type RegistrySecrets = {
  readonly admin: KubernetesObject | undefined;
  readonly keys: KubernetesObject | undefined;
  readonly http: KubernetesObject | undefined;
};

export type SecretsDecision = {
  /** To be created by POST: whoever comes first wins, the others read again. */
  readonly create: readonly KubernetesObject[];
  readonly findings: readonly Finding[];
};

/**
 * Which Secrets have to be made. Each is made once with random content and never overwritten: an admin may set
 * another password, and a key that cannot be read must not be replaced behind the back of logins that use it.
 *
 * @param randomBytes as of node:crypto
 */
export function decideSecrets(
  found: RegistrySecrets,
  namespace: string,
  randomBytes: (size: number) => Buffer,
): SecretsDecision {
  const create: KubernetesObject[] = [];
  const of = (name: string, type: string, content: Readonly<Record<string, string>>): KubernetesObject => ({
    metadata: { name, namespace, labels: { [managedByLabel]: managedByValue } },
    type,
    data: Object.fromEntries(Object.entries(content).map(([key, text]) => [key, Buffer.from(text).toString("base64")])),
  });
  if (found.admin === undefined) {
    const login = { username: "admin", password: randomBytes(32).toString("base64url") };
    create.push(of(registryAdminSecretName, "kubernetes.io/basic-auth", login));
  }
  if (found.keys === undefined) {
    const content = writeRegistryKeys(nextGeneration([], randomBytes(32)));
    create.push(of(registryKeysSecretName, "Opaque", { [keysDataKey]: content }));
  }
  if (found.http === undefined) {
    create.push(of(registryHttpSecretName, "Opaque", { secret: randomBytes(32).toString("base64url") }));
  }
  return { create, findings: unreadable(found, namespace) };
}

function unreadable(found: RegistrySecrets, namespace: string): readonly Finding[] {
  const findings: Finding[] = [];
  if (found.admin !== undefined && readAdminLogin(found.admin) === undefined) {
    findings.push({
      reason: "AdminSecretInvalid",
      message: `Secret ${namespace}/${registryAdminSecretName} needs username and password; set both, or delete it and a new login is made`,
      blocks: false,
    });
  }
  if (found.keys !== undefined && readRegistryKeys(found.keys) === undefined) {
    findings.push({
      reason: "KeySecretInvalid",
      message: `Secret ${namespace}/${registryKeysSecretName} holds no readable ${keysDataKey}; restore it, or delete it and a new key is made (every namespace then gets a new login)`,
      blocks: false,
    });
  }
  return findings;
}

/** The admin's login; undefined when the Secret is absent or incomplete. */
export function readAdminLogin(
  secret: KubernetesObject | undefined,
): { readonly username: string; readonly password: string } | undefined {
  const username = textOf(secret, "username");
  const password = textOf(secret, "password");
  return username === undefined || password === undefined ? undefined : { username, password };
}

/** One value of a Secret's data; undefined when it is absent or empty. */
export function textOf(secret: KubernetesObject | undefined, key: string): string | undefined {
  const encoded = (secret?.data as Readonly<Record<string, unknown>> | undefined)?.[key];
  if (typeof encoded !== "string" || encoded === "") return undefined;
  return Buffer.from(encoded, "base64").toString("utf8");
}
