import assert from "node:assert/strict";
import test from "node:test";
import { compiledCredential, compiledRegistry, compiledState, observedNamespace } from "../../test/fake/compiled.ts";
import type { Compiled } from "../config/compiled.ts";
import { deriveLogin } from "../credential/login.ts";
import { type DesiredSecret, desiredPullSecret, desiredPushSecret, sharedKeys } from "./desired.ts";
import { wantsPullSecret } from "./injection.ts";

function secretOf(desired: DesiredSecret) {
  assert.equal(desired.kind, "secret");
  return desired.kind === "secret" ? desired.secret : assert.fail();
}
const authsOf = (desired: DesiredSecret): Record<string, { username: string; password: string; auth: string }> =>
  JSON.parse(secretOf(desired).data[".dockerconfigjson"] ?? "").auths;
const namespace = observedNamespace("a");

test("the first PullCredential by precedence wins a key", () => {
  const credentials = [
    compiledCredential("one", { "x.example.com": "1" }),
    compiledCredential("two", { "x.example.com": "2", "y.example.com": "2" }),
  ];
  const auths = authsOf(desiredPullSecret(compiledState({ credentials }), namespace));
  assert.deepEqual(
    Object.entries(auths).map(([key, { password }]) => [key, password]),
    [
      ["x.example.com", "1"],
      ["y.example.com", "2"],
    ],
  );
  assert.equal(auths["x.example.com"]?.auth, Buffer.from("u:1").toString("base64"));
});

test("a host of a name that JavaScript knows gets its login, too", () => {
  const credentials = [compiledCredential("one", { constructor: "1", "x.example.com": "2" })];
  assert.deepEqual(Object.keys(authsOf(desiredPullSecret(compiledState({ credentials }), namespace))), [
    "constructor",
    "x.example.com",
  ]);
});

const selections = [
  { name: "no selector selects every namespace", change: {}, want: ["x.example.com"] },
  {
    name: "a selector that does not match keeps it away",
    change: { namespaceSelector: { matchLabels: { team: "b" } } },
    want: [],
  },
];
for (const { name, change, want } of selections) {
  test(name, () => {
    const credentials = [compiledCredential("one", { "x.example.com": "1" }, change)];
    const desired = desiredPullSecret(compiledState({ credentials }), namespace);
    assert.deepEqual(desired.kind === "secret" ? Object.keys(authsOf(desired)) : [], want);
  });
}

test("the annotation narrows the list to the names in it", () => {
  const credentials = [
    compiledCredential("one", { "x.example.com": "1" }),
    compiledCredential("two", { "y.example.com": "2" }),
    compiledCredential("three", { "z.example.com": "3" }),
  ];
  const narrowed = (value: string) => {
    const desired = desiredPullSecret(
      compiledState({ credentials }),
      observedNamespace("a", { annotations: { "slipway.dev/credentials": value } }),
    );
    return desired.kind === "secret" ? Object.keys(authsOf(desired)) : [];
  };
  assert.deepEqual(narrowed("three, one"), ["x.example.com", "z.example.com"]);
  assert.deepEqual(narrowed("unknown"), []);
  assert.deepEqual(narrowed(""), []);
});

test("each name of the local registry has the namespace's own login, and wins over any other", () => {
  const registry = compiledRegistry();
  const credentials = [compiledCredential("one", { "builds.example.com:5000": "theirs" })];
  const auths = authsOf(desiredPullSecret(compiledState({ registry, credentials }), namespace));
  const key = registry.login.kind === "namespace" ? registry.login.key : assert.fail();
  const own = deriveLogin(key, { purpose: "pull", namespace: "a", uid: namespace.uid });
  for (const name of ["registry.slipway-system.svc", "builds.example.com:5000", "127.0.0.1:7443"]) {
    assert.deepEqual([auths[name]?.username, auths[name]?.password], [own.username, own.password]);
  }
});

test("shared repositories have the shared login, the same in every namespace, under each name", () => {
  const registry = compiledRegistry({
    sharedRepositories: ["docker.io/library/**", "team/app", "mirror-*/x", "quay.io/a*b/c"],
  });
  const keys = sharedKeys(registry);
  assert.deepEqual(
    keys.filter((key) => key.startsWith("builds.example.com:5000/")),
    ["docker.io/library", "team/app", "quay.io"].map((prefix) => `builds.example.com:5000/${prefix}`),
  );
  assert.equal(keys.length, 9);
  const state = compiledState({ registry });
  const here = authsOf(desiredPullSecret(state, namespace));
  const there = authsOf(desiredPullSecret(state, observedNamespace("b")));
  for (const key of keys) assert.deepEqual(here[key], there[key]);
  assert.notDeepEqual(here["127.0.0.1:7443"], there["127.0.0.1:7443"]);
});

test("a namespace that was made anew has another login and another hash", () => {
  const state = compiledState({ registry: compiledRegistry() });
  const before = secretOf(desiredPullSecret(state, namespace));
  const after = secretOf(desiredPullSecret(state, observedNamespace("a", { uid: "another" })));
  assert.notEqual(after.contentHash, before.contentHash);
  assert.notEqual(after.data[".dockerconfigjson"], before.data[".dockerconfigjson"]);
});

test("with a fixed login every namespace gets it, and no shared login", () => {
  const registry = compiledRegistry({ login: { kind: "fixed", username: "f", password: "w" } });
  const auths = authsOf(desiredPullSecret(compiledState({ registry, credentials: [] }), namespace));
  assert.deepEqual(Object.keys(auths), ["127.0.0.1:7443", "builds.example.com:5000", "registry.slipway-system.svc"]);
  assert.deepEqual(new Set(Object.values(auths).map(({ password }) => password)), new Set(["w"]));
});

test("nothing to put in it is no Secret", () => {
  assert.deepEqual(desiredPullSecret(compiledState({ credentials: [] }), namespace), { kind: "empty" });
});

test("the same arguments give the same bytes, and the revision is not in the hash", () => {
  const state = (revision: number): Compiled => compiledState({ revision, registry: compiledRegistry() });
  const first = secretOf(desiredPullSecret(state(1), namespace));
  assert.deepEqual(secretOf(desiredPullSecret(state(1), { ...namespace })), first);
  const later = secretOf(desiredPullSecret(state(2), namespace));
  assert.equal(later.contentHash, first.contentHash);
  assert.equal(later.annotations["slipway.dev/revision"], "2");
});

test("labels and annotations that select nothing do not change the content", () => {
  const first = secretOf(desiredPullSecret(compiledState(), namespace));
  const other = observedNamespace("a", { labels: { ...namespace.labels, extra: "x" }, annotations: { extra: "x" } });
  assert.equal(secretOf(desiredPullSecret(compiledState(), other)).contentHash, first.contentHash);
});

test("key_name of a Tutor dictionary is kept as an annotation", () => {
  const auths = { "x.example.com": { username: "u", password: "p", keyName: "first" } };
  const credentials = [compiledCredential("one", {}, { auths })];
  const secret = secretOf(desiredPullSecret(compiledState({ credentials }), namespace));
  assert.equal(secret.annotations["slipway.dev/key-names"], '{"x.example.com":"first"}');
  assert.doesNotMatch(secret.data[".dockerconfigjson"] ?? "", /first/);
});

test("what a Secret cannot hold is said, with its size", () => {
  const credentials = [compiledCredential("one", { "x.example.com": "p".repeat(600_000) })];
  const desired = desiredPullSecret(compiledState({ credentials }), namespace);
  assert.equal(desired.kind, "too-large");
  assert.ok(desired.kind === "too-large" && desired.bytes > 1_048_576);
});

const asking = observedNamespace("a", { annotations: { "slipway.dev/push": "enabled" } });

test("the push Secret holds the push login under the registry's names and its CA, for who asks", () => {
  const registry = compiledRegistry();
  const desired = desiredPushSecret(compiledState({ registry }), asking);
  const key = registry.login.kind === "namespace" ? registry.login.key : assert.fail();
  const { username, password } = deriveLogin(key, { purpose: "push", namespace: "a", uid: asking.uid });
  assert.deepEqual(
    Object.entries(authsOf(desired)).map(([name, auth]) => [name, auth.username, auth.password]),
    ["builds.example.com:5000", "registry.slipway-system.svc"].map((name) => [name, username, password]),
  );
  assert.equal(secretOf(desired).data["ca.crt"], "a PEM");
  assert.equal(secretOf(desired).name, "slipway-push");
});

test("there is no push Secret without the annotation, or without a registry", () => {
  assert.deepEqual(desiredPushSecret(compiledState({ registry: compiledRegistry() }), namespace), { kind: "empty" });
  assert.deepEqual(desiredPushSecret(compiledState(), asking), { kind: "empty" });
});

const nginx = { host: "docker.io", path: "library/nginx" };
const injections = [
  { name: "by default every pod wants it", credentials: [compiledCredential("one", {})], image: nginx, want: true },
  { name: "without PullCredentials, too", credentials: [], image: nginx, want: true },
  {
    name: "WhenUsed: an image that no login serves does not",
    credentials: [compiledCredential("one", { "x.example.com": "1" }, { injection: "WhenUsed" as const })],
    image: nginx,
    want: false,
  },
  {
    name: "WhenUsed: an image that a login serves does",
    credentials: [
      compiledCredential("one", { "https://index.docker.io/v1/": "1" }, { injection: "WhenUsed" as const }),
    ],
    image: nginx,
    want: true,
  },
  {
    name: "WhenUsed: an image of the local registry does",
    credentials: [compiledCredential("one", { "x.example.com": "1" }, { injection: "WhenUsed" as const })],
    image: { host: "builds.example.com:5000", path: "a/app" },
    want: true,
  },
  {
    name: "WhenUsed beside Always is Always",
    credentials: [
      compiledCredential("one", {}),
      compiledCredential("two", { "x.example.com": "1" }, { injection: "WhenUsed" as const }),
    ],
    image: nginx,
    want: true,
  },
  {
    name: "a PullCredential that does not select the namespace does not count",
    credentials: [
      compiledCredential("one", {}, { namespaceSelector: { matchLabels: { team: "b" } } }),
      compiledCredential("two", { "x.example.com": "1" }, { injection: "WhenUsed" as const }),
    ],
    image: nginx,
    want: false,
  },
];
for (const { name, credentials, image, want } of injections) {
  test(`injection: ${name}`, () => {
    const state = compiledState({ credentials, registry: compiledRegistry() });
    assert.equal(wantsPullSecret(state, namespace, [image]), want);
  });
}
