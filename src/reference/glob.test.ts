import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { leastMs } from "../../test/fixtures/admission/least-time.ts";
import { SlipwayError } from "../errors.ts";
import { compileGlob, globFault, literalPrefix, matchesGlob } from "./glob.ts";

const cases = [
  {
    glob: "library/nginx",
    matches: ["library/nginx"],
    not: ["library/nginx2", "library", "library/nginx/x", "x/library/nginx"],
  },
  { glob: "library/*", matches: ["library/nginx"], not: ["library", "library/a/b"] },
  { glob: "*", matches: ["a"], not: ["a/b"] },
  { glob: "**", matches: ["a", "a/b", "a/b/c"], not: [] },
  { glob: "team/**", matches: ["team/a", "team/a/b/c"], not: ["team", "teams/a", "x/team/a"] },
  { glob: "**/app", matches: ["app", "a/app", "a/b/app"], not: ["a/app/b", "myapp"] },
  { glob: "a/**/z", matches: ["a/z", "a/b/z", "a/b/c/z"], not: ["a", "z", "a/b", "a/z/b"] },
  { glob: "a/**/b/**/c", matches: ["a/b/c", "a/x/b/y/z/c", "a/b/b/c"], not: ["a/c", "a/b/x"] },
  { glob: "**/a/*", matches: ["a/b", "a/a/b", "x/a/a"], not: ["a", "a/b/c"] },
  { glob: "team-*/app", matches: ["team-a/app", "team-/app"], not: ["team/app", "team-a/b/app"] },
  { glob: "*-debug", matches: ["x-debug"], not: ["x-debug-2", "a/x-debug"] },
  { glob: "a*b*c", matches: ["abc", "axbxc", "abbcc"], not: ["ab", "acb", "abcx"] },
  { glob: "ab*ba", matches: ["abba", "abxba"], not: ["aba"] },
  { glob: "**/**", matches: ["a", "a/b"], not: [] },
  { glob: "docker.io/library/**", matches: ["docker.io/library/x"], not: ["docker_io/library/x", "docker.io/library"] },
] as const;

describe("a glob", () => {
  for (const { glob, matches, not } of cases) {
    for (const path of matches) test(`${glob} matches ${path}`, () => assert.ok(matchesGlob(glob, path)));
    for (const path of not) test(`${glob} does not match ${path}`, () => assert.ok(!matchesGlob(glob, path)));
  }
  test("is the same compiled and as text", () => assert.ok(matchesGlob(compileGlob("a/**"), "a/b/c")));
});

describe("what is no glob is refused, and matches nothing", () => {
  for (const pattern of [
    "",
    "/a",
    "a/",
    "a//b",
    "A/b",
    "a?",
    "[ab]",
    "{a,b}",
    "a**",
    "**a/b",
    "a b",
    "a".repeat(600),
  ]) {
    test(JSON.stringify(pattern.slice(0, 20)), () => {
      assert.equal(typeof globFault(pattern), "string");
      assert.throws(
        () => compileGlob(pattern),
        (error) => error instanceof SlipwayError && error.code === "CONFIG_INVALID",
      );
      assert.ok(!matchesGlob(pattern, pattern));
      assert.ok(!matchesGlob(pattern, "a"));
    });
  }
});

describe("the literal prefix is the segments before the first glob", () => {
  const prefixes = {
    "docker.io/library/**": "docker.io/library",
    "docker.io/app-*": "docker.io",
    "**": "",
    "a*/b": "",
    "a/b": "a/b",
    "a/*/b/**": "a",
  };
  for (const [glob, prefix] of Object.entries(prefixes)) test(glob, () => assert.equal(literalPrefix(glob), prefix));
});

/** The definition, spelled as a regular expression. */
function regularExpression(glob: string): RegExp {
  const source = glob
    .replaceAll(/[.]/g, "\\.")
    .replace(/^\*\*$/, "<any>")
    .replace(/\/\*\*$/, "/<any>")
    .replaceAll(/(^|\/)\*\*\//g, "$1<many>")
    .replaceAll(/(^|\/)\*\*\//g, "$1<many>")
    .replaceAll(/(^|\/|>)\*(?=\/|$)/g, "$1[^/]+")
    .replaceAll("*", "[^/]*")
    .replaceAll("<any>", ".+")
    .replaceAll("<many>", "(?:[^/]+/)*");
  return new RegExp(`^${source}$`);
}

test("a glob says what its regular expression says", () => {
  const piece = fc.constantFrom("a", "b", "*", "**", "a*", "*b", "a*b");
  const glob = fc.array(piece, { minLength: 1, maxLength: 5 }).map((pieces) => pieces.join("/"));
  const path = fc
    .array(fc.constantFrom("a", "b", "ab", "aab", "c"), { minLength: 1, maxLength: 6 })
    .map((s) => s.join("/"));
  const collapsed = (text: string): string => text.replaceAll(/\*\*(\/\*\*)+/g, "**");
  fc.assert(
    fc.property(glob, path, (pattern, candidate) => {
      assert.equal(matchesGlob(pattern, candidate), regularExpression(collapsed(pattern)).test(candidate));
    }),
    { numRuns: 5000 },
  );
});

test("a hostile glob and path stay fast", () => {
  const glob = compileGlob(Array.from({ length: 60 }, () => "**/a").join("/"));
  const path = `${"a/".repeat(120)}b`;
  const spentMs = leastMs(10, () => assert.ok(!matchesGlob(glob, path)));
  assert.ok(spentMs < 10, `${spentMs}`);
});
