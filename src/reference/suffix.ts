import { createFault, nameCharacter, type ReferenceFault } from "./fault.ts";

/** @see https://github.com/distribution/reference/blob/main/regexp.go (tag) */
export const tagLengthLimit = 128;

/**
 * Hex characters of each digest algorithm: those that go-digest registers (the runtimes use it), and blake3, which the
 * OCI image specification registers too.
 *
 * @see https://github.com/opencontainers/go-digest/blob/master/algorithm.go
 * @see https://github.com/opencontainers/image-spec/blob/main/descriptor.md#registered-algorithms
 */
const digestLengths: ReadonlyMap<string, number> = new Map([
  ["sha256", 64],
  ["sha384", 96],
  ["sha512", 128],
  ["blake3", 64],
]);

/**
 * Checks the tag `text[from, to)`: a letter, digit or `_`, then up to 127 of those, `.` and `-`.
 *
 * @returns the fault, its offset counted from the beginning of `text`, or undefined when there is none
 */
export function tagFault(text: string, from: number, to: number): ReferenceFault | undefined {
  if (from === to) return createFault("tag", from, "is empty");
  const end = Math.min(to, from + tagLengthLimit);
  for (let at = from; at < end; at++) {
    const code = text.charCodeAt(at);
    const fits = isWordCharacter(code) || (at > from && (code === 0x2e || code === 0x2d));
    if (!fits) return createFault("tag", at, `has ${nameCharacter(text, at)} where it does not fit`);
  }
  return to > end ? createFault("tag", end, `is longer than ${tagLengthLimit} characters`) : undefined;
}

/**
 * Checks the digest that `text` ends in: a known algorithm, `:`, and as many lower-case hex characters as it has.
 *
 * @returns the fault, its offset counted from the beginning of `text`, or undefined when there is none
 */
export function digestFault(text: string, from: number): ReferenceFault | undefined {
  const colon = text.indexOf(":", from);
  if (colon < 0) return createFault("digest", from, "has no ':' between algorithm and hex");
  const expected = colon - from > 16 ? undefined : digestLengths.get(text.slice(from, colon));
  if (expected === undefined) {
    return createFault("digest", from, `has an unknown algorithm; known are ${[...digestLengths.keys()].join(", ")}`);
  }
  const end = Math.min(text.length, colon + 1 + expected);
  for (let at = colon + 1; at < end; at++) {
    const code = text.charCodeAt(at);
    const isHex = (code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66);
    if (!isHex) return createFault("digest", at, `has ${nameCharacter(text, at)} among its lower-case hex characters`);
  }
  const found = text.length - colon - 1;
  return found === expected
    ? undefined
    : createFault("digest", end, `has ${found} hex characters where its algorithm has ${expected}`);
}

function isWordCharacter(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || code === 0x5f
  );
}
