import type { KubernetesObject } from "../cluster/object.ts";
import { globFault } from "../reference/glob.ts";
import type { Action, UserRule } from "./identity.ts";

export type RegistryUser = { readonly password: string; readonly rules: readonly UserRule[] };
export type RegistryUsers = ReadonlyMap<string, RegistryUser>;

/** A user that cannot log in, and what is wrong; nothing of the value is repeated but a repository glob. */
export type InvalidUser = { readonly name: string; readonly problem: string };

/**
 * Reads Secret `slipway-registry-users`: one key per user, each
 * `{"password": "…", "rules": [{"repository": "team/**", "actions": ["pull"]}]}`.
 *
 * @returns the users that could be read, and those that could not: they cannot log in
 */
export function readRegistryUsers(secret: KubernetesObject | undefined): {
  readonly users: RegistryUsers;
  readonly invalid: readonly InvalidUser[];
} {
  const data = secret?.data;
  const users = new Map<string, RegistryUser>();
  const invalid: InvalidUser[] = [];
  for (const [name, value] of Object.entries(typeof data === "object" && data !== null ? data : {})) {
    const user = readUser(value);
    if (typeof user === "string") invalid.push({ name, problem: user });
    else users.set(name, user);
  }
  return { users, invalid };
}

/** @returns the user, or what is wrong */
function readUser(value: unknown): RegistryUser | string {
  const user = parseObject(value);
  if (user === undefined) return "the value is no JSON object";
  const { password, rules } = user;
  if (typeof password !== "string" || password === "") return "password has to be a string that is not empty";
  if (!Array.isArray(rules)) return "rules has to be a list";
  const problem = rules.map(ruleProblem).find((each) => each !== undefined);
  return problem ?? { password, rules: rules as readonly UserRule[] };
}

function parseObject(value: unknown): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(String(value), "base64").toString("utf8"));
    return typeof parsed === "object" && parsed !== null ? (parsed as Record<string, unknown>) : undefined;
  } catch {
    // No JSON: the caller says so.
    return undefined;
  }
}

const knownActions: readonly unknown[] = ["pull", "push", "delete"] satisfies readonly Action[];

function ruleProblem(rule: unknown, index: number): string | undefined {
  const { repository, actions } = (rule ?? {}) as { readonly repository?: unknown; readonly actions?: unknown };
  const where = `rules[${index}]`;
  if (typeof repository !== "string") return `${where}.repository has to be a glob over repositories`;
  const fault = globFault(repository);
  if (fault !== undefined) return `${where}.repository ${fault}`;
  const areKnown = Array.isArray(actions) && actions.every((action) => knownActions.includes(action));
  return areKnown ? undefined : `${where}.actions has to be a list of pull, push and delete`;
}
