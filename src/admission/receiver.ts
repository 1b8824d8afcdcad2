import { compileGlob, type Glob, type GlobSegment } from "../reference/glob.ts";
import type { PathSet } from "../reference/glob-overlap.ts";
import { matchesRegistry, type RegistryPattern } from "../reference/registry-pattern.ts";
import { hostSegment } from "../reference/rewrite.ts";
import type { OriginPattern, Rule } from "./rule.ts";

/** What one rule may write to: the paths at its target, and how an origin follows from such a path. */
export type Receiver = {
  /** `<object>#<number from 1>`. */
  readonly label: string;
  /** Of the target, lower case; `local` for the local registry. */
  readonly registry: string;
  readonly prefix: string;
  /** The one source host that is dropped; undefined where the host is kept. */
  readonly dropped: string | undefined;
  readonly paths: PathSet;
  /** The segments that all its paths begin with. */
  readonly literal: readonly string[];
};

type At = { readonly label: string; readonly registry: string; readonly prefix: string };

/**
 * @param at where the rule sends references
 * @returns the receiver, or why the rule alone would let two origins collide
 */
export function receiverOf({ match, exclude, keepHost }: Rule, at: At): Receiver | string {
  if (!keepHost && match.registry.kind !== "exact") {
    return "keepHost: false with more than one source registry: the same path of two of them would be one reference; name one in match.registry";
  }
  const hosts = (pattern: RegistryPattern): GlobSegment[][] => (keepHost ? hostSegments(pattern) : [[]]);
  const globs = ({ registry, repository }: OriginPattern): GlobSegment[][] =>
    hosts(registry).map((host) => [...literals(at.prefix), ...host, ...(repository?.segments ?? everything)]);
  const source = match.registry.kind === "exact" ? match.registry.registry : undefined;
  const concerned = exclude.filter(({ registry }) => source === undefined || matchesRegistry(registry, source));
  const include = globs(match);
  return {
    ...at,
    dropped: keepHost ? undefined : source,
    paths: { include, exclude: concerned.flatMap(globs) },
    literal: commonLiteral(include),
  };
}

/** Whether one path stands for the same origin at both, so that sharing it is no collision. */
export function haveSameOrigins(a: Receiver, b: Receiver): boolean {
  if (a.dropped === b.dropped && a.prefix === b.prefix) return true;
  const [kept, dropped] = a.dropped === undefined ? [a, b] : [b, a];
  if (kept.dropped !== undefined || dropped.dropped === undefined) return false;
  const segment = hostSegment(dropped.dropped);
  return segment !== undefined && dropped.prefix === (kept.prefix === "" ? segment : `${kept.prefix}/${segment}`);
}

const everything: readonly GlobSegment[] = compileGlob("**").segments;

/** The first segment of a mapped path, for each form that it can have; none for a host that is never mapped. */
function hostSegments(pattern: RegistryPattern): GlobSegment[][] {
  switch (pattern.kind) {
    case "any":
      return [[{ kind: "partial", pieces: ["", ".", ""] }], [{ kind: "partial", pieces: ["", "_", ""] }]];
    case "suffix":
      return [[{ kind: "partial", pieces: ["", pattern.suffix.replace(":", "_")] }]];
    case "exact": {
      const text = hostSegment(pattern.registry);
      return text === undefined ? [] : [[{ kind: "literal", text }]];
    }
  }
}

function literals(prefix: string): GlobSegment[] {
  return prefix === "" ? [] : prefix.split("/").map((text) => ({ kind: "literal", text }));
}

function commonLiteral(globs: readonly Glob["segments"][]): string[] {
  const common: string[] = [];
  if (globs.length !== 1) return commonPrefix(globs);
  for (const segment of globs[0] ?? []) {
    if (segment.kind !== "literal") break;
    common.push(segment.text);
  }
  return common;
}

function commonPrefix(globs: readonly Glob["segments"][]): string[] {
  const [first = [], ...others] = globs.map((glob) => commonLiteral([glob]));
  const differs = first.findIndex((text, index) => others.some((other) => other[index] !== text));
  return differs < 0 ? first : first.slice(0, differs);
}
