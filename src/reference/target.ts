import { canonicalRegistry, registryFault } from "./host.ts";
import { pathFault } from "./path.ts";
import { readsAsHost } from "./reference.ts";

/** The target of a rule as written: the local registry, or another one with a prefix of the path ("" for none). */
export type TargetText =
  | { readonly kind: "local" }
  | { readonly kind: "registry"; readonly registry: string; readonly prefix: string };

/**
 * Reads `local` or `host[:port][/prefix]`. A host without dot, port and upper-case letter is `localhost` or none: as
 * the first part of a reference it would be read as a path of docker.io.
 *
 * @returns the target, or what is wrong, completing "the target …"
 */
export function readTarget(text: string): TargetText | string {
  if (text === "local") return { kind: "local" };
  const slash = text.indexOf("/");
  const host = slash < 0 ? text : text.slice(0, slash);
  const prefix = slash < 0 ? "" : text.slice(slash + 1);
  const fault = registryFault(host);
  if (fault !== undefined || !readsAsHost(host)) {
    return "is neither 'local' nor host[:port][/prefix]; a host has a dot or a port, or is 'localhost'";
  }
  if (slash >= 0) {
    const wrong = pathFault(prefix, 0, prefix.length);
    if (wrong !== undefined) return `has a prefix that is no path: ${wrong.message}`;
  }
  return { kind: "registry", registry: canonicalRegistry(host), prefix };
}
