import { pathLengthLimit } from "./path.ts";
import { createReference, defaultRegistry, type Reference } from "./reference.ts";

/** Where references are sent: a registry, a prefix of the path ("" for none), and whether the source host stays in it. */
export type RewriteTarget = {
  readonly registry: string;
  readonly prefix: string;
  readonly keepHost: boolean;
};

export type RewriteOutcome =
  | { readonly kind: "mapped"; readonly reference: Reference }
  /** A host without dot and port, or an IPv6 literal: its segment could not be told from another's. */
  | { readonly kind: "host-not-mappable" }
  /** The path would pass 255 characters. */
  | { readonly kind: "too-long" }
  /** `docker.io/name` would be read as `docker.io/library/name`. */
  | { readonly kind: "ambiguous" };

/**
 * The path segment that stands for a source registry: lower case, `:` as `_`, which no host contains. Only hosts with
 * a dot or a port have one, and no IPv6 literal: so segments never collide with each other, nor with a namespace's own
 * repositories, whose first segment is a DNS label.
 */
export function hostSegment(registry: string): string | undefined {
  if (registry.startsWith("[") || !/[.:]/.test(registry)) return undefined;
  return registry.toLowerCase().replace(":", "_");
}

/** The registry that a segment stands for, or undefined when hostSegment never gives it. */
export function segmentHost(segment: string): string | undefined {
  return /[._]/.test(segment) ? segment.replace("_", ":") : undefined;
}

/** The path of an origin at a target, without the check of its length. */
export function mappedPath(origin: Reference, prefix: string, keepHost: boolean): string | undefined {
  const start = prefix === "" ? "" : `${prefix}/`;
  if (!keepHost) return start + origin.path;
  const segment = hostSegment(origin.registry);
  return segment === undefined ? undefined : `${start}${segment}/${origin.path}`;
}

/**
 * Maps an origin to `<registry>/<prefix>/<source host>/<path>[:tag][@digest]`; without the source host when the target
 * says so. Tag and digest are kept as they are, none is added.
 */
export function mapReference(origin: Reference, target: RewriteTarget): RewriteOutcome {
  const path = mappedPath(origin, target.prefix, target.keepHost);
  if (path === undefined) return { kind: "host-not-mappable" };
  if (path.length > pathLengthLimit) return { kind: "too-long" };
  if (target.registry === defaultRegistry && !path.includes("/")) return { kind: "ambiguous" };
  return { kind: "mapped", reference: createReference(target.registry, path, origin.tag, origin.digest) };
}
