import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { formatDockerConfig, parseDockerConfig } from "./dockerconfig.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");
const parseEntry = (entry: unknown) => {
  const parsed = parseDockerConfig(JSON.stringify({ auths: { "registry.example.com": entry } }), "dockerconfigjson");
  assert.equal(parsed.kind, "entries");
  return parsed.kind === "entries" ? parsed : assert.fail();
};

// kubelet's own cases: TestDockerConfigEntryJSONDecode and TestDecodeDockerConfigFieldAuth in
// https://github.com/kubernetes/kubernetes/blob/master/pkg/credentialprovider/config_test.go
const readable = [
  {
    name: "user name and password",
    entry: { username: "foo", password: "bar" },
    want: { username: "foo", password: "bar" },
  },
  { name: "auth", entry: { auth: "Zm9vOmJhcg==" }, want: { username: "foo", password: "bar" } },
  { name: "auth without padding", entry: { auth: "Zm9vOmJhcg" }, want: { username: "foo", password: "bar" } },
  { name: "auth with line ends", entry: { auth: "Zm9vOm\nJhcg==\n" }, want: { username: "foo", password: "bar" } },
  {
    name: "auth before user name and password",
    entry: { username: "foo", password: "bar", auth: "cGluZzpwb25n" },
    want: { username: "ping", password: "pong" },
  },
  {
    name: "an empty auth is none",
    entry: { username: "foo", password: "bar", auth: "" },
    want: { username: "foo", password: "bar" },
  },
  {
    name: "a password with colons",
    entry: { auth: base64("foo:b:a:r") },
    want: { username: "foo", password: "b:a:r" },
  },
  {
    name: "the email is kept",
    entry: { auth: "Zm9vOmJhcg==", email: "foo@example.com" },
    want: { username: "foo", password: "bar", email: "foo@example.com" },
  },
  {
    name: "field names in any case",
    entry: { Username: "foo", PASSWORD: "bar" },
    want: { username: "foo", password: "bar" },
  },
  {
    name: "an identity token beside a login is passed over",
    entry: { auth: "Zm9vOmJhcg==", identitytoken: "t" },
    want: { username: "foo", password: "bar" },
  },
  {
    name: "fields that kubelet does not know are passed over",
    entry: { username: "foo", password: "bar", extra: 1 },
    want: { username: "foo", password: "bar" },
  },
  {
    name: "an identity token that is none is passed over, too",
    entry: { username: "foo", password: "bar", identitytoken: { a: [1e308, null] } },
    want: { username: "foo", password: "bar" },
  },
  {
    name: "null is absent",
    entry: { username: "foo", password: "bar", auth: null, email: null },
    want: { username: "foo", password: "bar" },
  },
  {
    name: "unicode, and characters that JSON escapes",
    entry: { auth: base64('fö"o:b\\är\t😀') },
    want: { username: 'fö"o', password: "b\\är\t😀" },
  },
  {
    name: "a line end within auth belongs to the password, as kubelet takes it",
    entry: { auth: base64("foo:bar\n") },
    want: { username: "foo", password: "bar\n" },
  },
];
for (const { name, entry, want } of readable) {
  test(`read: ${name}`, () => {
    const { entries, findings } = parseEntry(entry);
    assert.deepEqual(entries, { "registry.example.com": want });
    assert.deepEqual(findings, []);
  });
}

const unusable = [
  { name: "auth that is no base64", entry: { auth: "pants", email: "foo@example.com" }, reason: "EntryMalformed" },
  { name: "auth with a space", entry: { auth: "Zm9vOmJhcg== " }, reason: "EntryMalformed" },
  { name: "auth with a tab within", entry: { auth: "Zm9v\tOmJhcg==" }, reason: "EntryMalformed" },
  { name: "auth with half of its padding", entry: { auth: "Zm9vOmJhcg=" }, reason: "EntryMalformed" },
  { name: "auth that is a number", entry: { auth: 1e21 }, reason: "EntryMalformed" },
  { name: "auth that holds no user name", entry: { auth: base64(":bar") }, reason: "LoginMissing" },
  { name: "auth of nothing but line ends", entry: { auth: "\n" }, reason: "EntryMalformed" },
  { name: "an entry that is a text", entry: "Zm9vOmJhcg==", reason: "EntryMalformed" },
  { name: "auth in the URL alphabet", entry: { auth: "Zm9vOmJhcj-_" }, reason: "EntryMalformed" },
  { name: "auth without a colon", entry: { auth: "cGFudHM=" }, reason: "EntryMalformed" },
  {
    name: "auth that is not UTF-8",
    entry: { auth: Buffer.from([0xff, 0x3a, 0xfe]).toString("base64") },
    reason: "EntryMalformed",
  },
  {
    name: "a malformed auth beside a good password",
    entry: { username: "foo", password: "bar", auth: "%" },
    reason: "EntryMalformed",
  },
  { name: "a field that is no string", entry: { email: false }, reason: "EntryMalformed" },
  { name: "an entry that is a list", entry: [], reason: "EntryMalformed" },
  { name: "an identity token alone", entry: { identitytoken: "t" }, reason: "IdentityTokenOnly" },
  {
    name: "an identity token with auth that holds no password",
    entry: { auth: base64("0000:"), identitytoken: "t" },
    reason: "IdentityTokenOnly",
  },
  { name: "an empty entry, as with a credential helper", entry: {}, reason: "LoginMissing" },
  { name: "null", entry: null, reason: "LoginMissing" },
  { name: "a user name alone", entry: { username: "foo" }, reason: "LoginMissing" },
];
for (const { name, entry, reason } of unusable) {
  test(`left out with a finding: ${name}`, () => {
    const text = JSON.stringify({ auths: { "bad.example.com": entry, "good.example.com": { auth: "Zm9vOmJhcg==" } } });
    const parsed = parseDockerConfig(text, "dockerconfigjson");
    assert.equal(parsed.kind, "entries");
    if (parsed.kind !== "entries") return;
    assert.deepEqual(Object.keys(parsed.entries), ["good.example.com"]);
    assert.deepEqual(
      parsed.findings.map((finding) => [finding.reason, finding.registry]),
      [[reason, "bad.example.com"]],
    );
  });
}

test("the legacy form has its entries at the top", () => {
  const parsed = parseDockerConfig('{"https://registry.example.com/v1/":{"auth":"Zm9vOmJhcg=="}}', "dockercfg");
  assert.deepEqual(parsed, {
    kind: "entries",
    entries: { "registry.example.com": { username: "foo", password: "bar" } },
    findings: [],
  });
});

test("credential helpers beside the entries are passed over", () => {
  const text = JSON.stringify({
    credsStore: "desktop",
    credHelpers: { "helped.example.com": "ecr-login" },
    HttpHeaders: { "User-Agent": "x" },
    AUTHS: { "registry.example.com": { auth: "Zm9vOmJhcg==" } },
  });
  assert.deepEqual(parseDockerConfig(text, "dockerconfigjson"), {
    kind: "entries",
    entries: { "registry.example.com": { username: "foo", password: "bar" } },
    findings: [],
  });
});

test("the same key twice in the text: the last one stands, as in kubelet's parser", () => {
  const text = '{"auths":{"a.example.com":{"auth":"Zm9vOmJhcg=="},"a.example.com":{"auth":"cGluZzpwb25n"}}}';
  const parsed = parseDockerConfig(text, "dockerconfigjson");
  assert.deepEqual(parsed.kind === "entries" && parsed.entries, {
    "a.example.com": { username: "ping", password: "pong" },
  });
});

test("auths of null are none", () => {
  const want = { kind: "entries", entries: {}, findings: [] };
  assert.deepEqual(parseDockerConfig('{"auths":null}', "dockerconfigjson"), want);
});

test("a document that is nested a hundred thousand times is no harm", () => {
  const text = `{"auths":{"a.example.com":${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}}}`;
  const parsed = parseDockerConfig(text, "dockerconfigjson");
  assert.ok(parsed.kind === "unreadable" || Object.keys(parsed.entries).length === 0);
});

test("two keys of one registry: the first is used and the second is a finding", () => {
  const text = '{"auths":{"docker.io":{"auth":"Zm9vOmJhcg=="},"https://index.docker.io/v1/":{"auth":"cGluZzpwb25n"}}}';
  const parsed = parseDockerConfig(text, "dockerconfigjson");
  assert.equal(parsed.kind, "entries");
  if (parsed.kind !== "entries") return;
  assert.deepEqual(parsed.entries, { "https://index.docker.io/v1/": { username: "foo", password: "bar" } });
  assert.deepEqual(
    parsed.findings.map(({ reason }) => reason),
    ["KeyRepeated"],
  );
});

test("a key that is no registry is named by its place, since it may be anything", () => {
  const parsed = parseDockerConfig('{"auths":{"my secret word":{"auth":"Zm9vOmJhcg=="}}}', "dockerconfigjson");
  assert.equal(parsed.kind, "entries");
  if (parsed.kind !== "entries") return;
  assert.deepEqual(
    parsed.findings.map(({ reason }) => reason),
    ["RegistryKeyInvalid"],
  );
  assert.doesNotMatch(JSON.stringify(parsed.findings), /secret word/);
});

for (const text of ["", "{", "null", "[]", '"text"', '{"auths":[]}', '{"auths":"hunter2"}']) {
  test(`a document that cannot be read says so without quoting it: ${text || "nothing"}`, () => {
    const parsed = parseDockerConfig(text, "dockerconfigjson");
    assert.equal(parsed.kind, "unreadable");
    assert.doesNotMatch(JSON.stringify(parsed), /hunter2/);
  });
}

test("a user name with a colon is not written into auth, which kubelet would prefer", () => {
  const text = formatDockerConfig({ "registry.example.com": { username: "a:b", password: "c" } });
  assert.deepEqual(JSON.parse(text), { auths: { "registry.example.com": { username: "a:b", password: "c" } } });
});

const anyText = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
const anyAuths = fc.dictionary(
  fc.domain(),
  fc.record({ username: anyText, password: anyText }, { noNullPrototype: true }),
  {
    maxKeys: 8,
    noNullPrototype: true,
  },
);

test("what is written is what is read", () => {
  fc.assert(
    fc.property(anyAuths, (auths) => {
      const parsed = parseDockerConfig(formatDockerConfig(auths), "dockerconfigjson");
      assert.equal(parsed.kind, "entries");
      if (parsed.kind === "entries") assert.deepEqual(parsed.entries, auths);
    }),
  );
});

test("the order of the keys does not change a byte", () => {
  fc.assert(
    fc.property(anyAuths, (auths) => {
      const reversed = Object.fromEntries(Object.entries(auths).reverse());
      assert.equal(formatDockerConfig(reversed), formatDockerConfig(auths));
    }),
  );
});
