import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createChunkDecoder } from "./chunked.ts";

function decodeAll(pieces: readonly Buffer[]): { readonly text: string; readonly isEnd: boolean } | undefined {
  const decoder = createChunkDecoder();
  let text = "";
  let isEnd = false;
  for (const piece of pieces) {
    const decoded = decoder.decode(piece);
    if (decoded === undefined) return undefined;
    text += decoded.body.toString("latin1");
    isEnd = decoded.isEnd;
  }
  return { text, isEnd };
}

describe("a chunked body", () => {
  test("is the same in whatever pieces it comes", () => {
    const chunks = fc.array(fc.string({ minLength: 1, maxLength: 40, unit: "binary-ascii" }), { maxLength: 8 });
    const cuts = fc.array(fc.nat(400), { maxLength: 12 });
    fc.assert(
      fc.property(chunks, cuts, fc.constantFrom("", "x: y\r\n"), (texts, at, trailer) => {
        const coded = texts.map((text) => `${text.length.toString(16)};a=b\r\n${text}\r\n`).join("");
        const wire = Buffer.from(`${coded}0\r\n${trailer}\r\n`, "latin1");
        const places = [0, ...at.toSorted((a, b) => a - b).filter((place) => place < wire.length), wire.length];
        const pieces = places.slice(1).map((place, index) => wire.subarray(places[index], place));
        assert.deepEqual(decodeAll(pieces), { text: texts.join(""), isEnd: true });
      }),
    );
  });

  test("has not ended before its last line", () => {
    assert.deepEqual(decodeAll([Buffer.from("3\r\nabc\r\n0\r\n")]), { text: "abc", isEnd: false });
  });

  for (const [what, wire] of [
    ["a size that is none", "x\r\nabc\r\n0\r\n\r\n"],
    ["no size", "\r\nabc"],
    ["a negative size", "-1\r\n"],
    ["a size that is too large", "fffffffff\r\n"],
    ["a chunk that is longer than it says", "2\r\nabc\r\n0\r\n\r\n"],
    ["something behind the end", "0\r\n\r\nHTTP/1.1 200 OK"],
    ["a line without an end", "a".repeat(5_000)],
  ] as const) {
    test(`${what} is malformed`, () => assert.equal(decodeAll([Buffer.from(wire)]), undefined));
  }
});
