import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { compileGlob, matchesGlob } from "./glob.ts";
import { pathSetsOverlap } from "./glob-overlap.ts";

const set = (include: string, ...exclude: string[]) => ({
  include: [compileGlob(include).segments],
  exclude: exclude.map((glob) => compileGlob(glob).segments),
});

const cases = [
  { name: "the same path", a: set("a/b"), b: set("a/b"), want: true },
  { name: "two paths", a: set("a/b"), b: set("a/c"), want: false },
  { name: "everything and anything", a: set("**"), b: set("a/*/c"), want: true },
  { name: "one segment and two", a: set("*"), b: set("*/*"), want: false },
  { name: "below a folder and the folder", a: set("a/**"), b: set("a"), want: false },
  { name: "two folders", a: set("a/**"), b: set("b/**"), want: false },
  { name: "parts of segments that meet", a: set("a*"), b: set("*b"), want: true },
  { name: "parts of segments that do not meet", a: set("a*"), b: set("b*"), want: false },
  { name: "an exclude that takes the overlap out", a: set("**", "library/**"), b: set("library/**"), want: false },
  { name: "an exclude that leaves some of it", a: set("**", "library/a*"), b: set("library/**"), want: true },
  {
    name: "two excludes that cover together",
    a: set("*/*", "a/*"),
    b: set("**", "b/*", "c*/*", "*b*/**", "a/**"),
    want: true,
  },
  { name: "many in the middle", a: set("a/**/z"), b: set("a/b/c/z"), want: true },
  { name: "many in the middle, none", a: set("a/**/z"), b: set("a/z"), want: true },
  { name: "many in front", a: set("**/z"), b: set("z"), want: true },
];

describe("two sets of paths overlap, or do not", () => {
  for (const { name, a, b, want } of cases) {
    test(name, () => {
      assert.equal(pathSetsOverlap(a, b), want);
      assert.equal(pathSetsOverlap(b, a), want);
    });
  }
});

test("a path that is in both is never overlooked", () => {
  const piece = fc.constantFrom("a", "b", "*", "**", "a*", "*b");
  const glob = fc.array(piece, { minLength: 1, maxLength: 4 }).map((pieces) => pieces.join("/"));
  const path = fc
    .array(fc.constantFrom("a", "b", "ab"), { minLength: 1, maxLength: 4 })
    .map((parts) => parts.join("/"));
  let overlaps = 0;
  fc.assert(
    fc.property(glob, glob, glob, path, (a, b, exclude, candidate) => {
      const isIn = matchesGlob(a, candidate) && matchesGlob(b, candidate) && !matchesGlob(exclude, candidate);
      if (!isIn) return;
      overlaps++;
      assert.ok(pathSetsOverlap(set(a, exclude), set(b)));
    }),
    { numRuns: 12_000 },
  );
  assert.ok(overlaps > 100, `${overlaps}`);
});

test("sets without a common path are found apart as often as matching says", () => {
  const piece = fc.constantFrom("a", "b", "*", "a*", "*b");
  const glob = fc.array(piece, { minLength: 1, maxLength: 3 }).map((pieces) => pieces.join("/"));
  const words = ["a", "b", "c", "ab", "ba", "aa", "bb", "acb", "cb", "ac"];
  const paths = words.flatMap((x) => [
    x,
    ...words.flatMap((y) => [`${x}/${y}`, ...words.map((z) => `${x}/${y}/${z}`)]),
  ]);
  fc.assert(
    fc.property(glob, glob, (a, b) => {
      const common = paths.some((path) => matchesGlob(a, path) && matchesGlob(b, path));
      assert.equal(pathSetsOverlap(set(a), set(b)), common);
    }),
    { numRuns: 300 },
  );
});
