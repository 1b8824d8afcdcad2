import type { Action } from "./identity.ts";
import { isRepositoryName } from "./repository-path.ts";
import type { ResourceActions } from "./token-claims.ts";

const actions: readonly Action[] = ["pull", "push", "delete"];
const maxScopes = 64;
/** A token with more would not fit into a line of 8 KiB, and larger headers no proxy takes. */
const maxLength = 4 * 1024;

/**
 * Reads the scopes of a token request: each parameter may hold several, separated by spaces. What is no repository by
 * the grammar, and no known type, is left out: asking for more is never an error. At most 64 resources, and as many as
 * fit into a token that can still be sent.
 *
 * @returns one entry per resource; `*` of a repository becomes all actions
 * @see https://distribution.github.io/distribution/spec/auth/scope/
 */
export function parseScopes(parameters: readonly string[]): readonly ResourceActions[] {
  const scopes = new Map<string, ResourceActions>();
  for (const text of parameters.flatMap((parameter) => parameter.split(" "))) {
    const scope = parseScope(text);
    if (scope === undefined) continue;
    const key = `${scope.type}:${scope.name}`;
    const known = scopes.get(key)?.actions;
    if (known === undefined && scopes.size === maxScopes) continue;
    scopes.set(key, { ...scope, actions: [...new Set([...(known ?? []), ...scope.actions])] });
  }
  return fitting([...scopes.values()]);
}

function fitting(scopes: readonly ResourceActions[]): readonly ResourceActions[] {
  let length = 0;
  return scopes.filter((scope) => {
    length += JSON.stringify(scope).length;
    return length <= maxLength;
  });
}

/** Whether a token's `access` holds an action on a resource. */
export function holdsAction(
  access: readonly ResourceActions[],
  wanted: { readonly type: string; readonly name: string; readonly action: string },
): boolean {
  return access.some(
    (entry) => entry.type === wanted.type && entry.name === wanted.name && entry.actions.includes(wanted.action),
  );
}

function parseScope(text: string): ResourceActions | undefined {
  const start = text.indexOf(":");
  const end = text.lastIndexOf(":");
  if (start <= 0 || end <= start) return undefined;
  // A resource class, `repository(plugin)`, is a relic that Distribution ignores as well.
  const type = text.slice(0, start).replace(/\([a-z]*\)$/, "");
  const name = text.slice(start + 1, end);
  const asked = text.slice(end + 1).split(",");
  if (type === "registry" && name === "catalog")
    return { type, name, actions: asked.filter((action) => action === "*") };
  if (type !== "repository" || !isRepositoryName(name)) return undefined;
  return { type, name, actions: asked.includes("*") ? actions : actions.filter((action) => asked.includes(action)) };
}
