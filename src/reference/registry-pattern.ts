import { canonicalRegistry, registryFault } from "./host.ts";

/** Which registries a rule is about. */
export type RegistryPattern =
  | { readonly kind: "any" }
  /** Lower case; `index.docker.io` and `registry-1.docker.io` are `docker.io`. */
  | { readonly kind: "exact"; readonly registry: string }
  /** `.example.com` of `*.example.com`, lower case, with a port where one is written. */
  | { readonly kind: "suffix"; readonly suffix: string };

/**
 * Reads `host[:port]`, `*.suffix[:port]` or `*`. A pattern without a port is about registries without one.
 *
 * @returns the pattern, or what is wrong, completing "the registry …"
 */
export function readRegistryPattern(text: string | undefined): RegistryPattern | string {
  if (text === undefined || text === "*") return { kind: "any" };
  if (text === "") return "is empty; leave it out to match every registry";
  const wildcard = text.startsWith("*.");
  const host = wildcard ? text.slice(2) : text;
  const fault = registryFault(host);
  if (fault !== undefined) return `'${shorten(text)}' is neither host[:port], nor '*.' and a suffix, nor '*'`;
  if (!wildcard) return { kind: "exact", registry: canonicalRegistry(host.toLowerCase()) };
  if (host.startsWith("[")) return `'${shorten(text)}' has '*.' before an IPv6 address`;
  return { kind: "suffix", suffix: `.${host.toLowerCase()}` };
}

/** @param registry of the reference, in lower case */
export function matchesRegistry(pattern: RegistryPattern, registry: string): boolean {
  switch (pattern.kind) {
    case "any":
      return true;
    case "exact":
      return pattern.registry === registry;
    case "suffix":
      return registry.length > pattern.suffix.length && registry.endsWith(pattern.suffix);
  }
}

function shorten(text: string): string {
  const printable = text.replace(/[^\x21-\x7e]/g, "?");
  return printable.length > 64 ? `${printable.slice(0, 61)}...` : printable;
}
