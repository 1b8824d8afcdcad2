import assert from "node:assert/strict";
import test from "node:test";
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
]) {
  test(`what cannot be read is not quoted: ${JSON.stringify(text)}`, () => {
    const parsed = parseTutorDictionary(text);
    assert.ok(parsed.kind === "unreadable" || parsed.findings.length > 0);
    assert.doesNotMatch(JSON.stringify(parsed), /hunter2/);
  });
}
