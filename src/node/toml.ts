import { SlipwayError } from "../errors.ts";

/** A value as far as it is looked at: numbers and dates stay text. */
export type TomlValue = string | boolean | readonly TomlValue[] | TomlTable;
export type TomlTable = { readonly [key: string]: TomlValue };

type MutableTable = { [key: string]: TomlValue | MutableTable };

/**
 * Reads as much of TOML as configuration files of container runtimes use: tables, arrays of tables (the last counts),
 * dotted and quoted keys, all four kinds of strings, arrays, inline tables. Numbers and dates are kept as text.
 *
 * @throws SlipwayError CONFIG_INVALID with the line
 * @see https://toml.io/en/v1.0.0
 */
export function readToml(text: string): TomlTable {
  const cursor = { text, at: 0 };
  const root: MutableTable = Object.create(null);
  let table = root;
  for (;;) {
    skipBlank(cursor);
    if (cursor.at >= text.length) return root as TomlTable;
    if (peek(cursor) === "[") {
      const isArray = text.startsWith("[[", cursor.at);
      cursor.at += isArray ? 2 : 1;
      const keys = readKey(cursor);
      expect(cursor, isArray ? "]]" : "]");
      table = open(root, keys, { cursor, isFresh: isArray });
    } else {
      readPair(cursor, table);
    }
    endLine(cursor);
  }
}

type Cursor = { readonly text: string; at: number };

function readPair(cursor: Cursor, table: MutableTable): void {
  const keys = readKey(cursor);
  expect(cursor, "=");
  const last = keys.at(-1) ?? "";
  const parent = open(table, keys.slice(0, -1), { cursor, isFresh: false });
  parent[last] = readValue(cursor);
}

function open(
  root: MutableTable,
  keys: readonly string[],
  { cursor, isFresh }: { readonly cursor: Cursor; readonly isFresh: boolean },
): MutableTable {
  let table = root;
  for (const [index, key] of keys.entries()) {
    const found = table[key];
    if (found !== undefined && !isTable(found)) throw fault(cursor, `${key} is not a table`);
    const replaced = found === undefined || (isFresh && index === keys.length - 1);
    const next: MutableTable = replaced ? Object.create(null) : found;
    table[key] = next;
    table = next;
  }
  return table;
}

function readKey(cursor: Cursor): readonly string[] {
  const keys: string[] = [];
  for (;;) {
    skipSpaces(cursor);
    const quote = peek(cursor);
    if (quote === '"' || quote === "'") keys.push(readString(cursor));
    else keys.push(take(cursor, /[A-Za-z0-9_-]+/y, "a key"));
    skipSpaces(cursor);
    if (peek(cursor) !== ".") return keys;
    cursor.at += 1;
  }
}

function readValue(cursor: Cursor): TomlValue {
  skipSpaces(cursor);
  const first = peek(cursor);
  if (first === '"' || first === "'") return readString(cursor);
  if (first === "[") return readArray(cursor);
  if (first === "{") return readInlineTable(cursor);
  const word = take(cursor, /[^\s,\]}#]+/y, "a value");
  return word === "true" ? true : word === "false" ? false : word;
}

function readArray(cursor: Cursor): readonly TomlValue[] {
  const values: TomlValue[] = [];
  expect(cursor, "[");
  for (;;) {
    skipBlank(cursor);
    if (peek(cursor) === "]") break;
    values.push(readValue(cursor));
    skipBlank(cursor);
    if (peek(cursor) === ",") cursor.at += 1;
    else if (peek(cursor) !== "]") throw fault(cursor, "expected , or ]");
  }
  cursor.at += 1;
  return values;
}

function readInlineTable(cursor: Cursor): TomlTable {
  const table: MutableTable = Object.create(null);
  expect(cursor, "{");
  for (;;) {
    skipBlank(cursor);
    if (peek(cursor) === "}") break;
    readPair(cursor, table);
    skipBlank(cursor);
    if (peek(cursor) === ",") cursor.at += 1;
    else if (peek(cursor) !== "}") throw fault(cursor, "expected , or }");
  }
  cursor.at += 1;
  return table as TomlTable;
}

function readString(cursor: Cursor): string {
  const { text } = cursor;
  const mark = peek(cursor) ?? "";
  const isLong = text.startsWith(mark.repeat(3), cursor.at);
  const fence = isLong ? mark.repeat(3) : mark;
  const start = cursor.at + fence.length;
  let end = start;
  while (end < text.length && !text.startsWith(fence, end)) end += mark === '"' && text[end] === "\\" ? 2 : 1;
  if (end >= text.length || (!isLong && text.slice(start, end).includes("\n"))) {
    throw fault(cursor, "a string does not end");
  }
  cursor.at = end + fence.length;
  const body = isLong ? text.slice(start, end).replace(/^\r?\n/, "") : text.slice(start, end);
  return mark === "'" ? body : unescapeBasic(body);
}

const escapes: Readonly<Record<string, string>> = { b: "\b", t: "\t", n: "\n", f: "\f", r: "\r" };

function unescapeBasic(body: string): string {
  return body.replace(/\\(?:[ \t]*\r?\n\s*|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)/gs, (sequence) => {
    const letter = sequence[1] ?? "";
    if (/\s/.test(letter)) return "";
    if (sequence.length === 2) return escapes[letter] ?? letter;
    const code = Number.parseInt(sequence.slice(2), 16);
    return code > 0x10ffff ? "\ufffd" : String.fromCodePoint(code);
  });
}

function skipSpaces(cursor: Cursor): void {
  while (peek(cursor) === " " || peek(cursor) === "\t") cursor.at += 1;
}

function skipBlank(cursor: Cursor): void {
  const blank = /(?:[ \t\r\n]+|#[^\n]*)*/y;
  blank.lastIndex = cursor.at;
  cursor.at += blank.exec(cursor.text)?.[0].length ?? 0;
}

function endLine(cursor: Cursor): void {
  take(cursor, /[ \t]*(?:#[^\n]*)?(?:\r?\n|$)/y, "the end of the line");
}

function expect(cursor: Cursor, token: string): void {
  skipSpaces(cursor);
  if (!cursor.text.startsWith(token, cursor.at)) throw fault(cursor, `expected ${token}`);
  cursor.at += token.length;
}

function take(cursor: Cursor, pattern: RegExp, what: string): string {
  pattern.lastIndex = cursor.at;
  const match = pattern.exec(cursor.text)?.[0];
  if (match === undefined) throw fault(cursor, `expected ${what}`);
  cursor.at += match.length;
  return match;
}

function peek(cursor: Cursor): string | undefined {
  return cursor.text[cursor.at];
}

function fault(cursor: Cursor, what: string): SlipwayError {
  const line = cursor.text.slice(0, cursor.at).split("\n").length;
  return new SlipwayError("CONFIG_INVALID", `TOML, line ${line}: ${what}`);
}

export function isTable(value: unknown): value is TomlTable & MutableTable {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
