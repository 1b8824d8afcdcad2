import type { KubernetesObject } from "../cluster/object.ts";
import type { Action, UserRule } from "./identity.ts";

export type RegistryUser = { readonly password: string; readonly rules: readonly UserRule[] };
export type RegistryUsers = ReadonlyMap<string, RegistryUser>;

/**
 * Reads Secret `slipway-registry-users`: one key per user, each
 * `{"password": "…", "rules": [{"repository": "team/**", "actions": ["pull"]}]}`.
 *
 * @returns the users that could be read, and the names of those that could not: they cannot log in
 */
export function readRegistryUsers(secret: KubernetesObject | undefined): {
  readonly users: RegistryUsers;
  readonly invalid: readonly string[];
} {
  const data = secret?.data;
  const entries = typeof data === "object" && data !== null ? Object.entries(data as Record<string, unknown>) : [];
  const read = entries.map(([name, value]) => [name, readUser(value)] as const);
  const valid = read.filter((entry): entry is readonly [string, RegistryUser] => entry[1] !== undefined);
  return { users: new Map(valid), invalid: read.filter(([, user]) => user === undefined).map(([name]) => name) };
}

function readUser(value: unknown): RegistryUser | undefined {
  if (typeof value !== "string") return undefined;
  try {
    const user: unknown = JSON.parse(Buffer.from(value, "base64").toString("utf8"));
    if (typeof user !== "object" || user === null) return undefined;
    const { password, rules } = user as { password?: unknown; rules?: unknown };
    const isUser = typeof password === "string" && password !== "" && Array.isArray(rules) && rules.every(isRule);
    return isUser ? { password, rules } : undefined;
  } catch {
    // No JSON: the name is reported by the caller.
    return undefined;
  }
}

function isRule(value: unknown): value is UserRule {
  if (typeof value !== "object" || value === null) return false;
  const { repository, actions } = value as { repository?: unknown; actions?: unknown };
  const known: readonly unknown[] = ["pull", "push", "delete"] satisfies readonly Action[];
  return typeof repository === "string" && Array.isArray(actions) && actions.every((action) => known.includes(action));
}
