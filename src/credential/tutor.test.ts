import assert from "node:assert/strict";
import test from "node:test";
import { processorMs } from "../../test/fixtures/admission/processor-time.ts";
import { parseTutorDictionary } from "./tutor.ts";

const dictionary = `
private-registry.example.com:
  key_name: first
  password: "0123"
  username: deploy
private-registry.example.org:
  email: someone@example.org
  key_name: second
  password: 0123
  username: deploy
`;
const want = {
  "private-registry.example.com": { username: "deploy", password: "0123", keyName: "first" },
  "private-registry.example.org": {
    username: "deploy",
    password: "0123",
    email: "someone@example.org",
    keyName: "second",
  },
};

const forms = [
  { name: "a dictionary in YAML", text: dictionary },
  {
    name: "a whole config.yml",
    text: `K8S_NAMESPACE: openedx\nREGISTRY_CREDENTIALS:${dictionary.replaceAll("\n", "\n  ")}`,
  },
  {
    name: "a dictionary in JSON",
    text: JSON.stringify({
      "private-registry.example.com": { key_name: "first", password: "0123", username: "deploy" },
      "private-registry.example.org": {
        email: "someone@example.org",
        key_name: "second",
        password: "0123",
        username: "deploy",
      },
    }),
  },
];
for (const { name, text } of forms) {
  test(`read: ${name}; a password of digits stays what is written`, () => {
    assert.deepEqual(parseTutorDictionary(text), { kind: "entries", entries: want, findings: [] });
  });
}

test("a registry without a password is left out with a finding, the others stay", () => {
  const parsed = parseTutorDictionary(
    "a.example.com: {username: u, password: p}\nb.example.com: {username: u}\nc.example.com: 5\n",
  );
  assert.equal(parsed.kind, "entries");
  if (parsed.kind !== "entries") return;
  assert.deepEqual(Object.keys(parsed.entries), ["a.example.com"]);
  assert.deepEqual(
    parsed.findings.map(({ reason, registry }) => [reason, registry]),
    [
      ["LoginMissing", "b.example.com"],
      ["EntryMalformed", "c.example.com"],
    ],
  );
});

test("an email of null is none", () => {
  const parsed = parseTutorDictionary("a.example.com: {username: u, password: p, email: null}");
  assert.deepEqual(parsed, {
    kind: "entries",
    entries: { "a.example.com": { username: "u", password: "p" } },
    findings: [],
  });
});

for (const text of ["", "REGISTRY_CREDENTIALS:", "REGISTRY_CREDENTIALS: {}", "{}"]) {
  test(`an empty dictionary has no entries: ${JSON.stringify(text)}`, () => {
    assert.deepEqual(parseTutorDictionary(text), { kind: "entries", entries: {}, findings: [] });
  });
}

for (const text of [
  "hunter2",
  "- hunter2",
  "a: b: hunter2",
  "REGISTRY_CREDENTIALS: hunter2",
  "a: {hunter2",
  "a: 1\na: hunter2",
  "a.example.com: *hunter2",
  "REGISTRY_CREDENTIALS: &a [*a, hunter2]",
  "a.example.com: {<<: hunter2, username: u}",
]) {
  test(`what cannot be read is not quoted: ${JSON.stringify(text)}`, () => {
    const parsed = parseTutorDictionary(text);
    assert.ok(parsed.kind === "unreadable" || parsed.findings.length > 0);
    assert.doesNotMatch(JSON.stringify(parsed), /hunter2/);
  });
}

const login = { username: "u", password: "p" };
const furtherForms = [
  {
    name: "an alias for a whole entry",
    text: "a.example.com: &login {username: u, password: p}\nb.example.com: *login",
    want: { "a.example.com": login, "b.example.com": login },
  },
  {
    name: "an anchor that is given twice stands for the last before",
    text: "a.example.com: &l {username: u, password: p}\nb.example.com: *l\nc.example.com: &l {username: u, password: q}\nd.example.com: *l",
    want: {
      "a.example.com": login,
      "b.example.com": login,
      "c.example.com": { username: "u", password: "q" },
      "d.example.com": { username: "u", password: "q" },
    },
  },
  {
    name: "a merge key, whose values come after the entry's own",
    text: "DEFAULTS: &l {username: u, password: p}\nREGISTRY_CREDENTIALS:\n  a.example.com: {<<: *l}\n  b.example.com:\n    password: q\n    <<: [*l]",
    want: { "a.example.com": login, "b.example.com": { username: "u", password: "q" } },
  },
  {
    name: "a merge key in the dictionary itself",
    text: "OTHERS: &o {a.example.com: {username: u, password: p}}\nREGISTRY_CREDENTIALS:\n  <<: *o\n  b.example.com: {username: u, password: p}",
    want: { "b.example.com": login, "a.example.com": login },
  },
  {
    name: "tags, which mean nothing",
    text: "a.example.com: !!python/object:os.system {username: !!str u, password: !x p}",
    want: { "a.example.com": login },
  },
  {
    name: "JSON that is indented with tabs",
    text: '{\n\t"a.example.com": {\n\t\t"username": "u",\n\t\t"password": "p"\n\t}\n}',
    want: { "a.example.com": login },
  },
  {
    name: "a number with more digits than a number can have",
    text: "a.example.com: {username: u, password: 12345678901234567890123}",
    want: { "a.example.com": { username: "u", password: "12345678901234567890123" } },
  },
  {
    name: "a host of a name that JavaScript knows",
    text: "constructor: {username: u, password: p}",
    want: { constructor: login },
  },
] as const;
for (const { name, text, want } of furtherForms) {
  test(`read: ${name}`, () => {
    const parsed = parseTutorDictionary(text);
    assert.deepEqual(parsed.kind === "entries" && parsed.entries, want);
  });
}

test("a registry that is named twice is used once, with a finding", () => {
  const parsed = parseTutorDictionary(
    "a.example.com: {username: u, password: p}\nA: 1\na.example.com: {username: x, password: y}",
  );
  assert.deepEqual(parsed.kind === "entries" && parsed.entries, { "a.example.com": login });
  const reasons = parsed.kind === "entries" ? parsed.findings.map(({ reason }) => reason) : [];
  assert.deepEqual(reasons.sort(), ["EntryMalformed", "KeyRepeated"]);
});

const level = (index: number, width: number) =>
  `k${index + 1}: &k${index + 1}\n  <<: [${Array.from({ length: width }, () => `*k${index}`).join(", ")}]\n`;
const bombs = [
  {
    name: "five thousand registries",
    text: Array.from({ length: 5_000 }, (_, at) => `h${at}.example.com: {username: u, password: p}`).join("\n"),
  },
  { name: "a hundred thousand brackets", text: "[".repeat(100_000) },
  { name: "braces within braces, closed", text: `${"{a: ".repeat(3_000)}b${"}".repeat(3_000)}` },
  {
    name: "lists of aliases of lists of aliases",
    text: `k0: &k0 [a, a]\n${Array.from({ length: 20 }, (_, at) => `k${at + 1}: &k${at + 1} [*k${at}, *k${at}]\n`).join("")}REGISTRY_CREDENTIALS: *k20`,
  },
  {
    name: "merge keys of merge keys",
    text: `k0: &k0 {x: 1}\n${Array.from({ length: 30 }, (_, at) => level(at, 4)).join("")}REGISTRY_CREDENTIALS: {a.example.com: *k30}`,
  },
  { name: "a merge key of itself", text: "REGISTRY_CREDENTIALS: &a\n  <<: *a\n  a.example.com: *a" },
] as const;
for (const { name, text } of bombs) {
  test(`a document that is meant to do harm takes a moment and no more: ${name}`, () => {
    const spentMs = processorMs(() => void parseTutorDictionary(text));
    assert.ok(spentMs < 5_000, `${spentMs}`);
  });
}
