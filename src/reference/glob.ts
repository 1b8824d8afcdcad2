import { SlipwayError } from "../errors.ts";
import { nameCharacter } from "./fault.ts";

/**
 * A glob over the segments of a repository path, compiled once. `*` is one segment or a part of one, `**` is many:
 * any number of segments, none included, and at the end of a pattern at least one, so that `team/**` is everything below
 * `team` but not a repository `team`.
 */
export type Glob = {
  readonly source: string;
  /** A `**` at the end is kept as `one`, `many`. */
  readonly segments: readonly GlobSegment[];
};

export type GlobSegment =
  | { readonly kind: "literal"; readonly text: string }
  /** `*` alone. */
  | { readonly kind: "one" }
  /** `*` inside a segment: the pieces between the stars, at least two, perhaps empty at the ends. */
  | { readonly kind: "partial"; readonly pieces: readonly string[] }
  /** `**`: any number of segments, none included. */
  | { readonly kind: "many" };

const lengthLimit = 512;
const one: GlobSegment = { kind: "one" };
const many: GlobSegment = { kind: "many" };

/** What is wrong with a pattern, completing "the repository glob …", or undefined when it is a glob. */
export function globFault(pattern: string): string | undefined {
  if (pattern === "") return "is empty; leave it out to match everything";
  if (pattern.length > lengthLimit) return `is longer than ${lengthLimit} characters`;
  const offset = pattern.search(/[^a-z0-9._/*-]/);
  if (offset >= 0) {
    const advice = "lower-case letters, digits, '.', '_', '-', '/' and the globs '*' and '**' are allowed";
    return `has ${nameCharacter(pattern, offset)} (character ${offset + 1}); ${advice}`;
  }
  for (const segment of pattern.split("/")) {
    if (segment === "") return "has an empty segment; it begins and ends without '/'";
    if (segment.includes("**") && segment !== "**")
      return "has '**' as a part of a segment; it stands alone between '/'";
  }
  return undefined;
}

/** @throws SlipwayError CONFIG_INVALID when `pattern` is no glob (see globFault) */
export function compileGlob(pattern: string): Glob {
  const fault = globFault(pattern);
  if (fault !== undefined) throw new SlipwayError("CONFIG_INVALID", `the repository glob ${fault}`);
  const segments: GlobSegment[] = [];
  for (const text of pattern.split("/")) {
    if (text === "**") {
      if (segments.at(-1)?.kind !== "many") segments.push(many);
    } else if (text === "*") segments.push(one);
    else if (text.includes("*")) segments.push({ kind: "partial", pieces: text.split("*") });
    else segments.push({ kind: "literal", text });
  }
  if (segments.at(-1)?.kind === "many") segments.splice(-1, 1, one, many);
  return { source: pattern, segments };
}

/**
 * Whether a repository path matches the whole pattern, e.g. `docker.io/library/**` and `docker.io/library/nginx`.
 *
 * @param pattern compiled, or as text: text that is no glob matches nothing, since globs hand out rights
 */
export function matchesGlob(pattern: Glob | string, repository: string): boolean {
  if (typeof pattern !== "string") return matchesSegments(pattern.segments, repository.split("/"));
  return globFault(pattern) === undefined && matchesGlob(compileGlob(pattern), repository);
}

/**
 * The segments before the first glob, joined: `docker.io/library` of `docker.io/library/**`, `docker.io` of
 * `docker.io/app-*`, the whole of a pattern without a glob, "" when the first segment has one.
 */
export function literalPrefix(pattern: string): string {
  const star = pattern.indexOf("*");
  if (star < 0) return pattern;
  const slash = pattern.lastIndexOf("/", star);
  return slash < 0 ? "" : pattern.slice(0, slash);
}

/** Whether one segment of a path matches one of a glob; `many` is not asked here. */
export function matchesSegment(segment: GlobSegment, text: string): boolean {
  if (segment.kind === "literal") return segment.text === text;
  return segment.kind === "partial" ? matchesPieces(segment.pieces, text) : true;
}

/** The classic walk with one point to return to, the last `many`: time is at most segments × segments. */
function matchesSegments(pattern: readonly GlobSegment[], path: readonly string[]): boolean {
  let [at, next] = [0, 0];
  let [returnTo, tried] = [-1, 0];
  while (at < path.length) {
    const segment = pattern[next];
    if (segment?.kind === "many") {
      returnTo = ++next;
      tried = at;
    } else if (segment !== undefined && matchesSegment(segment, path[at] ?? "")) {
      at++;
      next++;
    } else if (returnTo >= 0) {
      next = returnTo;
      at = ++tried;
    } else return false;
  }
  return next === pattern.length || (next === pattern.length - 1 && pattern[next]?.kind === "many");
}

function matchesPieces(pieces: readonly string[], text: string): boolean {
  const first = pieces[0] ?? "";
  const last = pieces.at(-1) ?? "";
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
  const end = text.length - last.length;
  let at = first.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, at);
    if (found < 0 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}
