import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseWatchEvent } from "./watch-event.ts";
import { createLineCutter } from "./watch-line.ts";

describe("lines of a watch", () => {
  test("are the same wherever the bytes are cut", () => {
    const line = fc.string({ unit: "grapheme", minLength: 1 }).map((text) => JSON.stringify(text));
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat(300)), (lines, cuts) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(""));
        const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
        const cutter = createLineCutter();
        const found = places.slice(1).flatMap((end, index) => cutter.push(bytes.subarray(places[index], end)));
        assert.deepEqual(found, lines);
        assert.equal(cutter.hasRest(), false);
      }),
    );
  });

  test("do not include half of one", () => {
    const cutter = createLineCutter();
    assert.deepEqual(cutter.push(Buffer.from("a\n\nb")), ["a"]);
    assert.equal(cutter.hasRest(), true);
  });
});

describe("an event of a watch", () => {
  const metadata = { name: "a", resourceVersion: "5" };
  const cases = [
    { name: "ADDED is a set", line: { type: "ADDED", object: { metadata } }, want: "set" },
    { name: "MODIFIED is a set", line: { type: "MODIFIED", object: { metadata } }, want: "set" },
    { name: "DELETED is a delete", line: { type: "DELETED", object: { metadata } }, want: "delete" },
    {
      name: "BOOKMARK needs no name",
      line: { type: "BOOKMARK", object: { metadata: { resourceVersion: "5" } } },
      want: "bookmark",
    },
    { name: "ERROR is an error", line: { type: "ERROR", object: { code: 410 } }, want: "error" },
    { name: "another type is unreadable", line: { type: "NEW", object: { metadata } }, want: "unreadable" },
    {
      name: "an object without a version is unreadable",
      line: { type: "ADDED", object: { metadata: { name: "a" } } },
      want: "unreadable",
    },
    {
      name: "an object without a name is unreadable",
      line: { type: "ADDED", object: { metadata: { resourceVersion: "5" } } },
      want: "unreadable",
    },
    { name: "no object is unreadable", line: { type: "ADDED" }, want: "unreadable" },
    { name: "null is unreadable", line: null, want: "unreadable" },
  ];
  for (const { name, line, want } of cases) {
    test(name, () => assert.equal(parseWatchEvent(JSON.stringify(line)).kind, want));
  }
  test("half of one is unreadable", () => assert.equal(parseWatchEvent('{"type":"AD').kind, "unreadable"));
});
