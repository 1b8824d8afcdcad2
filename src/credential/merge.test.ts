import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import type { KubernetesObject } from "../cluster/object.ts";
import type { Compiled } from "../config/compiled.ts";
import type { CredentialSourceSpec, PullCredentialSpec } from "../config/pull-credential.ts";
import { type CompileInput, compileCredentials } from "./merge.ts";
import type { SourceReading } from "./source.ts";

type Logins = Readonly<Record<string, string>>;

/** A dockerconfigjson Secret: registry key → password. */
const dockerSecret = (logins: Logins): KubernetesObject =>
  rawSecret(
    JSON.stringify({
      auths: Object.fromEntries(Object.entries(logins).map(([key, password]) => [key, { username: "u", password }])),
    }),
  );
const rawSecret = (content: string): KubernetesObject => ({
  metadata: { name: "any" },
  type: "kubernetes.io/dockerconfigjson",
  data: { ".dockerconfigjson": Buffer.from(content).toString("base64") },
});

const credential = (
  name: string,
  sources: readonly (string | CredentialSourceSpec)[],
  spec: Partial<PullCredentialSpec> = {},
) => ({
  kind: "valid" as const,
  name,
  generation: 1,
  spec: {
    ...spec,
    sources: sources.map((source) => (typeof source === "string" ? { secretRef: { name: source } } : source)),
  },
});

type World = {
  readonly pullCredentials: CompileInput["pullCredentials"];
  readonly secrets?: Readonly<Record<string, KubernetesObject>>;
  readonly files?: Readonly<Record<string, SourceReading>>;
  readonly registryNames?: readonly string[];
  readonly previous?: Compiled | undefined;
};
function compile(world: World) {
  const { pullCredentials, secrets = {}, files = {}, registryNames = [], previous } = world;
  return compileCredentials({
    pullCredentials,
    secret: (name) => secrets[name],
    file: (path) => files[path],
    registryNames,
    previous,
  });
}
/** As the leader keeps it: what a compilation gave, by way of JSON. */
function compiledFrom(world: World): Compiled {
  const { credentials } = compile(world);
  return JSON.parse(JSON.stringify({ revision: 1, registry: null, credentials, rewrites: [] })) as Compiled;
}
const passwords = (result: ReturnType<typeof compile>) =>
  result.credentials.map(({ name, auths }) => [
    name,
    Object.fromEntries(Object.entries(auths).map(([key, { password }]) => [key, password])),
  ]);
const ready = (result: ReturnType<typeof compile>) =>
  result.reports.map(({ conditions }) => {
    const condition = conditions.find(({ type }) => type === "Ready");
    return [condition?.status, condition?.reason];
  });

test("PullCredentials come by name, whatever order they are given in", () => {
  const pullCredentials = [credential("b", ["two"]), credential("a", ["one"])];
  const secrets = { one: dockerSecret({ "x.example.com": "1" }), two: dockerSecret({ "y.example.com": "2" }) };
  const result = compile({ pullCredentials, secrets });
  assert.deepEqual(passwords(result), [
    ["a", { "x.example.com": "1" }],
    ["b", { "y.example.com": "2" }],
  ]);
  assert.deepEqual(ready(result), [
    ["True", "SourcesRead"],
    ["True", "SourcesRead"],
  ]);
});

test("the first source that names a key wins, and the other is told as a conflict", () => {
  const secrets = {
    one: dockerSecret({ "x.example.com": "1" }),
    two: dockerSecret({ "https://x.example.com/v2/": "2", "y.example.com": "2" }),
  };
  const result = compile({ pullCredentials: [credential("a", ["one", "two"])], secrets });
  assert.deepEqual(passwords(result), [["a", { "x.example.com": "1", "y.example.com": "2" }]]);
  assert.deepEqual(result.reports[0]?.conflicts, [{ registry: "x.example.com", winner: "secret/one" }]);
  assert.deepEqual(
    result.reports[0]?.conditions.map(({ type, status, reason }) => [type, status, reason]),
    [
      ["Ready", "True", "SourcesRead"],
      ["Conflicted", "True", "KeyTaken"],
    ],
  );
});

test("the same login twice is no conflict", () => {
  const secrets = { one: dockerSecret({ "x.example.com": "1" }), two: dockerSecret({ "x.example.com": "1" }) };
  const result = compile({ pullCredentials: [credential("a", ["one"]), credential("b", ["two"])], secrets });
  assert.deepEqual(
    result.reports.flatMap(({ conflicts }) => conflicts),
    [],
  );
});

test("a key that an earlier PullCredential has is a conflict, but stays for namespaces that only the later one selects", () => {
  const secrets = { one: dockerSecret({ "x.example.com": "1" }), two: dockerSecret({ "x.example.com": "2" }) };
  const result = compile({ pullCredentials: [credential("a", ["one"]), credential("b", ["two"])], secrets });
  assert.deepEqual(passwords(result), [
    ["a", { "x.example.com": "1" }],
    ["b", { "x.example.com": "2" }],
  ]);
  assert.deepEqual(
    result.reports.map(({ conflicts }) => conflicts),
    [[], [{ registry: "x.example.com", winner: "PullCredential a" }]],
  );
});

const before = () =>
  compiledFrom({
    pullCredentials: [credential("a", ["one", "two"])],
    secrets: { one: dockerSecret({ "x.example.com": "1" }), two: dockerSecret({ "y.example.com": "2" }) },
  });

const faults = [
  { name: "deleted", one: undefined },
  { name: "emptied", one: rawSecret("") },
  { name: "left without entries", one: rawSecret('{"auths":{}}') },
  { name: "corrupt", one: rawSecret('{"auths":{"x.ex') },
  { name: "of another type", one: { ...dockerSecret({ "x.example.com": "9" }), type: "kubernetes.io/tls" } },
] as const;
for (const { name, one } of faults) {
  test(`a source that is ${name} keeps its last good logins while another changes`, () => {
    const secrets = { ...(one === undefined ? {} : { one }), two: dockerSecret({ "y.example.com": "new" }) };
    const result = compile({ pullCredentials: [credential("a", ["one", "two"])], secrets, previous: before() });
    assert.deepEqual(passwords(result), [["a", { "x.example.com": "1", "y.example.com": "new" }]]);
    assert.deepEqual(ready(result), [["False", "SourceFailed"]]);
    assert.match(result.reports[0]?.conditions[0]?.message ?? "", /Secret one/);
  });
}

test("an entry that became malformed keeps its last good login, the others of its source follow", () => {
  const secrets = {
    one: rawSecret('{"auths":{"x.example.com":{"auth":"%"},"z.example.com":{"auth":"Zm9vOmJhcg=="}}}'),
    two: dockerSecret({ "y.example.com": "2" }),
  };
  const result = compile({ pullCredentials: [credential("a", ["one", "two"])], secrets, previous: before() });
  assert.deepEqual(passwords(result), [["a", { "z.example.com": "bar", "x.example.com": "1", "y.example.com": "2" }]]);
  assert.deepEqual(ready(result), [["False", "EntryInvalid"]]);
});

test("an entry that was taken out of a good source goes", () => {
  const previous = compiledFrom({
    pullCredentials: [credential("a", ["one"])],
    secrets: { one: dockerSecret({ "x.example.com": "1", "y.example.com": "2" }) },
  });
  const result = compile({
    pullCredentials: [credential("a", ["one"])],
    secrets: { one: dockerSecret({ "x.example.com": "1" }) },
    previous,
  });
  assert.deepEqual(passwords(result), [["a", { "x.example.com": "1" }]]);
});

test("a source that is named no longer goes, although its Secret is failing", () => {
  const result = compile({
    pullCredentials: [credential("a", ["two"])],
    secrets: { two: dockerSecret({ "y.example.com": "2" }) },
    previous: before(),
  });
  assert.deepEqual(passwords(result), [["a", { "y.example.com": "2" }]]);
});

test("a PullCredential that is there no longer goes", () => {
  assert.deepEqual(compile({ pullCredentials: [], previous: before() }), { credentials: [], reports: [] });
});

test("a source keeps its last good logins over any number of compilations", () => {
  let previous = before();
  for (let round = 0; round < 3; round++) {
    previous = compiledFrom({ pullCredentials: [credential("a", ["one", "two"])], previous });
  }
  assert.deepEqual(previous.credentials, before().credentials);
});

test("an invalid PullCredential keeps its last good state", () => {
  const invalid = { kind: "invalid" as const, name: "a", generation: 2, problem: "spec.sources: not a list" };
  const result = compile({ pullCredentials: [invalid], previous: before() });
  assert.deepEqual(result.credentials, before().credentials);
  assert.deepEqual(ready(result), [["False", "SpecInvalid"]]);
});

test("a source that failed from the start gives nothing and says so", () => {
  const result = compile({ pullCredentials: [credential("a", ["one"])] });
  assert.deepEqual(passwords(result), [["a", {}]]);
  assert.deepEqual(ready(result), [["False", "SourceFailed"]]);
});

test("keys on hosts of the local registry are left out with a condition, path-scoped ones included", () => {
  const secrets = {
    one: dockerSecret({
      "registry.example.com:5000": "1",
      "registry.example.com:5000/team": "1",
      "registry.example.com": "kept",
    }),
  };
  const result = compile({
    pullCredentials: [credential("a", ["one"])],
    secrets,
    registryNames: ["registry.example.com:5000"],
  });
  assert.deepEqual(passwords(result), [["a", { "registry.example.com": "kept" }]]);
  assert.deepEqual(ready(result), [["False", "LocalRegistryKey"]]);
});

test("a key that was left out for the local registry comes back when that name goes", () => {
  const pullCredentials = [credential("a", ["one"])];
  const secrets = { one: dockerSecret({ "registry.example.com": "1" }) };
  const previous = compiledFrom({ pullCredentials, secrets, registryNames: ["registry.example.com"] });
  assert.deepEqual(passwords(compile({ pullCredentials, previous })), [["a", { "registry.example.com": "1" }]]);
});

test("a file source is taken from what was read last", () => {
  const entries: SourceReading = {
    kind: "entries",
    entries: { "x.example.com": { username: "u", password: "1" } },
    findings: [],
  };
  const pullCredentials = [credential("a", [{ file: { path: "team/config.json" } }])];
  assert.deepEqual(passwords(compile({ pullCredentials, files: { "team/config.json": entries } })), [
    ["a", { "x.example.com": "1" }],
  ]);
  assert.deepEqual(ready(compile({ pullCredentials })), [["False", "SourceFailed"]]);
});

test("a source that names nothing is told, the others are served", () => {
  const result = compile({
    pullCredentials: [credential("a", [{}, "one"])],
    secrets: { one: dockerSecret({ "x.example.com": "1" }) },
  });
  assert.deepEqual(passwords(result), [["a", { "x.example.com": "1" }]]);
  assert.deepEqual(ready(result), [["False", "SpecInvalid"]]);
});

test("what would pass the size of the compiled state keeps the last good one", () => {
  const pullCredentials = [credential("a", ["one"]), credential("b", ["two"])];
  const good = { one: dockerSecret({ "x.example.com": "1" }), two: dockerSecret({ "y.example.com": "2" }) };
  const previous = compiledFrom({ pullCredentials, secrets: good });
  const result = compile({
    pullCredentials,
    secrets: { ...good, one: dockerSecret({ "x.example.com": "p".repeat(600_000) }) },
    previous,
  });
  assert.deepEqual(passwords(result), [
    ["a", { "x.example.com": "1" }],
    ["b", { "y.example.com": "2" }],
  ]);
  assert.deepEqual(ready(result), [
    ["False", "TooLarge"],
    ["True", "SourcesRead"],
  ]);
});

test("a source that would pass that size keeps its last good logins, the others of its PullCredential are followed", () => {
  const pullCredentials = [credential("a", ["one", "two"])];
  const good = { one: dockerSecret({ "x.example.com": "1" }), two: dockerSecret({ "y.example.com": "2" }) };
  const result = compile({
    pullCredentials,
    secrets: {
      one: dockerSecret({ "x.example.com": "p".repeat(600_000) }),
      two: dockerSecret({ "y.example.com": "3" }),
    },
    previous: compiledFrom({ pullCredentials, secrets: good }),
  });
  assert.deepEqual(passwords(result), [["a", { "x.example.com": "1", "y.example.com": "3" }]]);
  assert.deepEqual(ready(result), [["False", "TooLarge"]]);
});

test("what grows does not take the place of what was good before", () => {
  const pullCredentials = [credential("a", ["one"]), credential("b", ["two"])];
  const large = { "y.example.com": "q".repeat(300_000) };
  const good = { one: dockerSecret({ "x.example.com": "1" }), two: dockerSecret(large) };
  const result = compile({
    pullCredentials,
    secrets: { ...good, one: dockerSecret({ "x.example.com": "p".repeat(300_000) }) },
    previous: compiledFrom({ pullCredentials, secrets: good }),
  });
  assert.deepEqual(passwords(result), [
    ["a", { "x.example.com": "1" }],
    ["b", large],
  ]);
  assert.deepEqual(ready(result), [
    ["False", "TooLarge"],
    ["True", "SourcesRead"],
  ]);
  assert.ok(JSON.stringify(result.credentials).length < 1_000_000, "it fits into one Secret");
});

test("a host of a name that JavaScript knows is a host", () => {
  const pullCredentials = [credential("a", ["one"]), credential("b", ["two"])];
  const secrets = {
    one: dockerSecret({ constructor: "1" }),
    two: rawSecret('{"auths":{"valueOf":{"auth":"%"},"y.example.com":{"username":"u","password":"2"}}}'),
  };
  assert.deepEqual(passwords(compile({ pullCredentials, secrets, previous: compiledFrom({ pullCredentials }) })), [
    ["a", { constructor: "1" }],
    ["b", { "y.example.com": "2" }],
  ]);
});

test("no report ever holds a password", () => {
  const secrets = {
    one: rawSecret('{"auths":{"x.example.com":{"auth":"hunter2"},"hunter2 ":{"auth":"hunter2"}}}'),
    two: rawSecret("hunter2"),
    three: dockerSecret({ "registry.example.com": "hunter2" }),
  };
  const result = compile({
    pullCredentials: [credential("a", ["one", "two", "three"])],
    secrets,
    registryNames: ["registry.example.com"],
  });
  assert.doesNotMatch(JSON.stringify(result.reports), /hunter2/);
});

const anyLogins = fc.dictionary(fc.domain(), fc.string({ minLength: 1, maxLength: 8 }), {
  maxKeys: 4,
  noNullPrototype: true,
});
const anyWorld = fc.dictionary(fc.constantFrom("a", "b", "c"), fc.array(anyLogins, { minLength: 1, maxLength: 3 }), {
  noNullPrototype: true,
});

test("compiling what was compiled changes nothing", () => {
  fc.assert(
    fc.property(anyWorld, (world) => {
      const pullCredentials = Object.entries(world).map(([name, sources]) =>
        credential(
          name,
          sources.map((_, index) => `${name}${index}`),
        ),
      );
      const secrets = Object.fromEntries(
        Object.entries(world).flatMap(([name, sources]) =>
          sources.map((logins, index) => [`${name}${index}`, dockerSecret(logins)]),
        ),
      );
      const first = compiledFrom({ pullCredentials, secrets });
      const second = compiledFrom({ pullCredentials: [...pullCredentials].reverse(), secrets, previous: first });
      assert.deepEqual(second, first);
    }),
  );
});
