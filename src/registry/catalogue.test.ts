import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createManualClock } from "../../test/fake/clock.ts";
import { type Catalogue, createCatalogue, lostGraceMs } from "./catalogue.ts";
import type { StreamEvent } from "./stream-protocol.ts";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const pushed = (repository: string, tag: string | null, letter: string): StreamEvent => ({
  type: "pushed",
  repository,
  tag,
  digest: digest(letter),
});

function live(): Catalogue {
  const catalogue = createCatalogue({ clock: createManualClock() });
  catalogue.markLive();
  return catalogue;
}

test("before the first reading nothing is known", () => {
  const catalogue = createCatalogue({ clock: createManualClock() });
  catalogue.apply(pushed("a/b", "1", "a"));
  assert.equal(catalogue.has("a/b", "1", undefined), undefined);
});

test("without a gateway the memory holds for 30 s and no longer", async () => {
  const clock = createManualClock();
  const catalogue = createCatalogue({ clock });
  catalogue.markLive();
  catalogue.apply(pushed("a/b", "1", "a"));
  catalogue.markLost();
  await clock.advance(lostGraceMs);
  catalogue.markLost();
  assert.equal(catalogue.has("a/b", "1", undefined), true);
  await clock.advance(1);
  assert.equal(catalogue.has("a/b", "1", undefined), undefined);
  catalogue.markLive();
  assert.equal(catalogue.has("a/b", "1", undefined), true);
});

test("a reference without tag and digest means latest", () => {
  const catalogue = live();
  catalogue.apply(pushed("a/b", "latest", "a"));
  assert.equal(catalogue.has("a/b", undefined, undefined), true);
});

test("with a digest the tag counts for nothing", () => {
  const catalogue = live();
  catalogue.apply(pushed("a/b", "1", "a"));
  assert.equal(catalogue.has("a/b", "other", digest("a")), true);
  assert.equal(catalogue.has("a/b", "1", digest("b")), false);
});

test("a moved tag leaves the old digest known", () => {
  const catalogue = live();
  catalogue.apply(pushed("a/b", "1", "a"));
  catalogue.apply(pushed("a/b", "1", "b"));
  assert.equal(catalogue.has("a/b", undefined, digest("a")), true);
});

test("a deleted digest takes the tags on it along, a deleted tag leaves the digest", () => {
  const catalogue = live();
  for (const tag of ["1", "2"]) catalogue.apply(pushed("a/b", tag, "a"));
  catalogue.apply({ type: "deleted", repository: "a/b", tag: "1", digest: null });
  assert.equal(catalogue.has("a/b", "1", undefined), false);
  assert.equal(catalogue.has("a/b", "2", digest("a")), true);
  catalogue.apply({ type: "deleted", repository: "a/b", tag: null, digest: digest("a") });
  assert.equal(catalogue.has("a/b", "2", undefined), false);
  assert.deepEqual(catalogue.repositories(), []);
});

test("a listing never removes", () => {
  const catalogue = live();
  catalogue.apply(pushed("a/b", "1", "a"));
  const mark = catalogue.openListing();
  catalogue.addListing([], mark);
  catalogue.closeListing(mark);
  assert.equal(catalogue.has("a/b", "1", undefined), true);
});

test("what was deleted while a listing ran does not come back with it", () => {
  const catalogue = live();
  catalogue.apply(pushed("a/b", "1", "a"));
  const mark = catalogue.openListing();
  catalogue.apply({ type: "deleted", repository: "a/b", tag: null, digest: digest("a") });
  catalogue.addListing([{ repository: "a/b", tag: "1", digest: digest("a") }], mark);
  assert.equal(catalogue.has("a/b", "1", undefined), false);
  assert.equal(catalogue.has("a/b", undefined, digest("a")), false);
});

test("what was pushed while a listing ran is neither set back nor removed by its 404", () => {
  const catalogue = live();
  const mark = catalogue.openListing();
  catalogue.apply(pushed("a/b", "1", "b"));
  catalogue.addListing([{ repository: "a/b", tag: "1", digest: digest("a") }], mark);
  catalogue.remove({ repository: "a/b", reference: "1" }, mark);
  catalogue.apply({ type: "deleted", repository: "a/b", tag: null, digest: digest("a") });
  assert.equal(catalogue.has("a/b", "1", undefined), true);
});

test("misses are kept once each and bounded, the oldest go", () => {
  const catalogue = createCatalogue({ clock: createManualClock(), missedLimit: 2 });
  for (const reference of ["1", "2", "2", "3"]) catalogue.missed("a/b", reference);
  assert.deepEqual(
    catalogue.takeMissed().map((missing) => missing.reference),
    ["2", "3"],
  );
  assert.deepEqual(catalogue.takeMissed(), []);
});

const repository = fc.constantFrom("a/b", "a/c");
const tag = fc.constantFrom("1", "2");
const letter = fc.constantFrom("a", "b", "c");
const event: fc.Arbitrary<StreamEvent> = fc.oneof(
  fc.tuple(repository, fc.option(tag), letter).map(([name, at, of]) => pushed(name, at, of)),
  fc
    .tuple(repository, tag)
    .map(([name, at]) => ({ type: "deleted", repository: name, tag: at, digest: null }) as const),
  fc
    .tuple(repository, letter)
    .map(([name, of]) => ({ type: "deleted", repository: name, tag: null, digest: digest(of) }) as const),
);

/** The registry itself, as simple as can be. */
function createModel() {
  const tags = new Map<string, string>();
  const digests = new Set<string>();
  const push = (change: Extract<StreamEvent, { type: "pushed" }>) => {
    digests.add(`${change.repository} ${change.digest}`);
    if (change.tag !== null) tags.set(`${change.repository} ${change.tag}`, change.digest);
  };
  const remove = (name: string, removed: string | null) => {
    digests.delete(`${name} ${removed}`);
    for (const [key, held] of tags) if (key.startsWith(`${name} `) && held === removed) tags.delete(key);
  };
  return {
    apply(change: StreamEvent) {
      if (change.type === "pushed") push(change);
      else if (change.type === "deleted" && change.tag !== null) tags.delete(`${change.repository} ${change.tag}`);
      else if (change.type === "deleted") remove(change.repository, change.digest);
    },
    hasTag: (name: string, at: string) => tags.has(`${name} ${at}`),
    hasDigest: (name: string, of: string) => digests.has(`${name} ${digest(of)}`),
    entries: () =>
      [...tags].map(([key, held]) => {
        const [name = "", at = ""] = key.split(" ");
        return { repository: name, tag: at, digest: held };
      }),
  };
}

test("events around a listing that read at any moment give what the registry holds", () => {
  fc.assert(
    fc.property(fc.array(event), fc.array(event), fc.array(event), fc.array(event), (before, during, later, after) => {
      const catalogue = live();
      const model = createModel();
      const both = (change: StreamEvent) => {
        catalogue.apply(change);
        model.apply(change);
      };
      before.forEach(both);
      const mark = catalogue.openListing();
      during.forEach(both);
      const listed = model.entries();
      later.forEach(both);
      catalogue.addListing(listed, mark);
      catalogue.closeListing(mark);
      after.forEach(both);
      for (const name of ["a/b", "a/c"]) {
        for (const at of ["1", "2"]) assert.equal(catalogue.has(name, at, undefined), model.hasTag(name, at));
        for (const each of ["a", "b", "c"]) {
          assert.equal(catalogue.has(name, undefined, digest(each)), model.hasDigest(name, each));
        }
      }
    }),
  );
});
