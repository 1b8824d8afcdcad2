import { createFault, nameCharacter, type ReferenceFault } from "./fault.ts";

/** Of a repository without its registry. @see https://github.com/distribution/reference/blob/main/reference.go */
export const pathLengthLimit = 255;

/**
 * Checks a repository path: segments of lower-case letters and digits, parted by `/`, inside them single `.` or `_`,
 * `__`, or any number of `-`.
 *
 * @param from where the path begins in `text`
 * @param to where it ends, exclusive
 * @returns the fault, its offset counted from the beginning of `text`, or undefined when there is none
 * @see https://github.com/distribution/reference/blob/main/regexp.go (remoteName)
 */
export function pathFault(text: string, from: number, to: number): ReferenceFault | undefined {
  if (from === to) return createFault("repository", from, "is empty");
  if (to - from > pathLengthLimit)
    return createFault("repository", from, `is longer than ${pathLengthLimit} characters`);
  let at = from;
  while (at < to) {
    const next = segmentEnd(text, at, to);
    if (typeof next !== "number") return next;
    if (next + 1 === to) return createFault("repository", next, "ends in '/'");
    at = next + 1;
  }
  return undefined;
}

/** Walks one segment, alphanumeric runs and separators in turn. @returns the offset of its `/`, or `to` */
function segmentEnd(text: string, from: number, to: number): number | ReferenceFault {
  let at = from;
  for (;;) {
    const run = at;
    while (at < to && isLowerAlphanumeric(text.charCodeAt(at))) at++;
    if (at === run) return misplaced(text, at, to, from);
    if (at === to || text.charCodeAt(at) === 0x2f) return at;
    const length = separatorLength(text, at, to);
    if (length === 0) return misplaced(text, at, to, from);
    at += length;
  }
}

function separatorLength(text: string, at: number, to: number): number {
  const code = text.charCodeAt(at);
  if (code === 0x2e) return 1;
  if (code === 0x5f) return at + 1 < to && text.charCodeAt(at + 1) === 0x5f ? 2 : 1;
  let end = at;
  while (end < to && text.charCodeAt(end) === 0x2d) end++;
  return end - at;
}

function misplaced(text: string, at: number, to: number, segment: number): ReferenceFault {
  if (at === to) return createFault("repository", at - 1, "ends in a separator");
  const code = text.charCodeAt(at);
  if (code >= 0x41 && code <= 0x5a) {
    return createFault("repository", at, `has the upper-case letter ${nameCharacter(text, at)}; it must be lower case`);
  }
  if (code === 0x2f) {
    return createFault(
      "repository",
      at,
      at === segment ? "has an empty segment" : "has a segment that ends in a separator",
    );
  }
  const advice = "lower-case letters and digits are allowed, single '.' or '_', '__' and '-' between them";
  return createFault("repository", at, `has ${nameCharacter(text, at)} where it does not fit; ${advice}`);
}

function isLowerAlphanumeric(code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39);
}
