import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { leastMs } from "../../test/fixtures/admission/least-time.ts";
import { SlipwayError } from "../errors.ts";
import { isFault } from "./fault.ts";
import { parseReference, readReference } from "./parse.ts";
import { formatFamiliar, formatReference } from "./reference.ts";

const digests = Object.entries({ sha256: 64, sha384: 96, sha512: 128, blake3: 64 }).map(
  ([algorithm, length]) => `${algorithm}:${"0123456789abcdef".repeat(8).slice(0, length)}`,
);

const alnum = fc.stringMatching(/^[a-z0-9]{1,4}$/);
const segment = fc
  .tuple(alnum, fc.array(fc.tuple(fc.constantFrom(".", "_", "__", "-", "--"), alnum), { maxLength: 2 }))
  .map(([first, rest]) => first + rest.flat().join(""));
const path = fc.array(segment, { minLength: 1, maxLength: 5 }).map((segments) => segments.join("/"));
const host = fc.oneof(
  fc.constantFrom("docker.io", "index.docker.io", "localhost", "[::1]", "[fd00::2]:443", "UPPER", "10.0.0.1"),
  fc.tuple(fc.stringMatching(/^[a-zA-Z0-9]{1,5}$/), fc.stringMatching(/^[a-z]{2,4}$/)).map((parts) => parts.join(".")),
  fc.tuple(fc.stringMatching(/^[a-z]{1,5}$/), fc.integer({ min: 0, max: 99999 })).map((parts) => parts.join(":")),
);
const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/);
const text = fc
  .tuple(
    fc.option(host, { nil: undefined }),
    path,
    fc.option(tag, { nil: undefined }),
    fc.option(fc.constantFrom(...digests), { nil: undefined }),
  )
  .map(
    ([h, p, t, d]) =>
      `${h === undefined ? "" : `${h}/`}${p}${t === undefined ? "" : `:${t}`}${d === undefined ? "" : `@${d}`}`,
  )
  .filter((candidate) => !isFault(readReference(candidate)));

describe("every reference", () => {
  test("format undoes parse", () =>
    fc.assert(
      fc.property(text, (candidate) => {
        const reference = parseReference(candidate);
        assert.deepEqual(parseReference(formatReference(reference)), reference);
        assert.deepEqual(parseReference(formatFamiliar(reference)), reference);
      }),
    ));
  test("normalisation is idempotent", () =>
    fc.assert(
      fc.property(text, (candidate) => {
        const canonical = formatReference(parseReference(candidate));
        assert.equal(formatReference(parseReference(canonical)), canonical);
      }),
    ));
  test("the generated ones cover every part", () => {
    const seen = new Set(fc.sample(text, 500).flatMap((candidate) => Object.keys(parseReference(candidate))));
    assert.deepEqual(seen, new Set(["registry", "path", "tag", "digest"]));
  });
  test("no input throws anything but REFERENCE_INVALID", () =>
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.string(), mangled()), (candidate) => {
        try {
          parseReference(candidate);
        } catch (error) {
          assert.ok(error instanceof SlipwayError && error.code === "REFERENCE_INVALID");
          assert.ok(error.message.length < 400);
        }
      }),
      { numRuns: 2000 },
    ));
});

function mangled(): fc.Arbitrary<string> {
  const piece = fc.constantFrom("/", ":", "@", "[", "]", ".", "_", "-", " ", "A", "\u0000", "é");
  return fc.tuple(text, fc.nat(60), piece).map(([candidate, at, insert]) => {
    const offset = Math.min(at, candidate.length);
    return candidate.slice(0, offset) + insert + candidate.slice(offset);
  });
}

const long = 1_000_000;
const hostile: readonly { readonly name: string; readonly text: string }[] = [
  { name: "letters", text: "a".repeat(long) },
  { name: "segments", text: "a/".repeat(long / 2) },
  { name: "dashes", text: `a${"-".repeat(long)}` },
  { name: "separators", text: "a_".repeat(long / 2) },
  { name: "a tag", text: `a:${"t".repeat(long)}` },
  { name: "colons", text: ":".repeat(long) },
  { name: "at signs", text: "@".repeat(long) },
  { name: "a digest", text: `a@sha256:${"f".repeat(long)}` },
  { name: "an algorithm", text: `a@${"x".repeat(long)}:ff` },
  { name: "host labels", text: `${"a.".repeat(long / 2)}/x` },
  { name: "a host in upper case", text: `${"A".repeat(long)}/x` },
  { name: "an IPv6 address", text: `[${"f:".repeat(long / 2)}]/x` },
  { name: "a port", text: `a:${"1".repeat(long)}/x` },
  { name: "surrogates", text: "\ud800".repeat(long) },
];

describe("1 MB of hostile input is refused within 10 ms", () => {
  for (const { name, text: candidate } of hostile) {
    test(name, () => {
      const spentMs = leastMs(10, () => assert.ok(isFault(readReference(candidate))));
      assert.ok(spentMs < 10, `${spentMs}`);
    });
  }
});
