import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readToml } from "./toml.ts";

const plain = (text: string): unknown => JSON.parse(JSON.stringify(readToml(text)));

describe("TOML", () => {
  const cases = [
    { name: "strings, booleans and numbers", text: "a = 'x'\nb = true\nc = 3", want: { a: "x", b: true, c: "3" } },
    { name: "dotted and quoted keys", text: `a."b.c".d = "x"`, want: { a: { "b.c": { d: "x" } } } },
    { name: "tables in any order", text: "[a.b]\nx = 1\n[a]\ny = 2", want: { a: { b: { x: "1" }, y: "2" } } },
    { name: "comments and blank lines", text: "# one\n\n a = 1 # two\n[b] # three\n", want: { a: "1", b: {} } },
    { name: "arrays over several lines", text: 'a = [\n "x", # one\n "y",\n]', want: { a: ["x", "y"] } },
    { name: "inline tables", text: "a = { b = 1, c = { d = 'x' } }", want: { a: { b: "1", c: { d: "x" } } } },
    { name: "escapes in basic strings only", text: `a = "\\t\\u00e9\\""\nb = '\\t'`, want: { a: '\té"', b: "\\t" } },
    { name: "long strings", text: "a = \"\"\"\none\\\n   two\"\"\"\nb = '''x'y'''", want: { a: "onetwo", b: "x'y" } },
    { name: "arrays of tables, of which the last counts", text: "[[a]]\nx = 1\n[[a]]\nx = 2", want: { a: { x: "2" } } },
    { name: "Windows line ends", text: "a = 1\r\nb = 2\r\n", want: { a: "1", b: "2" } },
    { name: "nothing", text: "", want: {} },
  ];
  for (const { name, text, want } of cases) {
    test(name, () => assert.deepEqual(plain(text), want));
  }
  test("a key named like a property of objects touches no prototype", () => {
    readToml("[__proto__]\npolluted = 1\n[constructor.prototype]\npolluted = 1");
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  });

  for (const text of [
    "a",
    "a =",
    "= 1",
    "[a",
    "a = [1",
    'a = "x',
    "a = 1 b = 2",
    "a = 1\n[a.b]",
    "a = {b = 1",
    'a = "x\ny"',
  ]) {
    test(`${JSON.stringify(text)} is refused with its line`, () => {
      assert.throws(() => readToml(text), { code: "CONFIG_INVALID", message: /line \d+/ });
    });
  }
});
