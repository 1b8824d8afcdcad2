import type { RegistryRoute } from "./repository-path.ts";
import type { ResourceActions } from "./token-claims.ts";

const methods: Readonly<Record<RegistryRoute["kind"], readonly string[]>> = {
  base: ["GET", "HEAD"],
  catalog: ["GET"],
  manifest: ["GET", "HEAD", "PUT", "DELETE"],
  blob: ["GET", "HEAD", "DELETE"],
  upload: ["GET", "HEAD", "PATCH", "PUT", "DELETE"],
  tags: ["GET"],
  referrers: ["GET"],
};

/** The methods of a route; everything else is 405. */
export function allowedMethods(route: RegistryRoute): readonly string[] {
  return route.kind === "upload" && route.id === undefined ? ["POST"] : methods[route.kind];
}

/**
 * What a token has to hold for a request, in Distribution's own words: a write asks for pull and push.
 *
 * @see https://github.com/distribution/distribution/blob/main/registry/handlers/app.go (appendAccessRecords)
 */
export function requiredAccess(method: string, route: RegistryRoute): readonly ResourceActions[] {
  if (route.kind === "base") return [];
  if (route.kind === "catalog") return [{ type: "registry", name: "catalog", actions: ["*"] }];
  return [{ type: "repository", name: route.repository, actions: actionsOf(method) }];
}

/** Whether a request changes what is stored. */
export function isWrite(method: string): boolean {
  return !["GET", "HEAD"].includes(method);
}

/** A name for metrics and audit lines, from a short fixed list. */
export function actionName(method: string, route: RegistryRoute): string {
  if (route.kind === "base" || route.kind === "catalog") return route.kind;
  const verb = method === "DELETE" ? "delete" : isWrite(method) ? "push" : "pull";
  return `${verb}_${route.kind}`;
}

function actionsOf(method: string): readonly string[] {
  if (method === "DELETE") return ["delete"];
  return isWrite(method) ? ["pull", "push"] : ["pull"];
}
