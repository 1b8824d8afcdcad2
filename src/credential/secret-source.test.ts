import assert from "node:assert/strict";
import test from "node:test";
import type { KubernetesObject } from "../cluster/object.ts";
import { createSecretReader, readSecretSource } from "./secret-source.ts";

const secret = (type: string, data: Readonly<Record<string, string | Buffer>>): KubernetesObject => ({
  metadata: { name: "login", namespace: "slipway-system" },
  type,
  data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")])),
});

const want = { "registry.example.com": { username: "u", password: "p" } };
const shapes = [
  {
    name: "kubernetes.io/dockerconfigjson",
    secret: secret("kubernetes.io/dockerconfigjson", {
      ".dockerconfigjson": '{"auths":{"registry.example.com":{"username":"u","password":"p"}}}',
    }),
  },
  {
    name: "kubernetes.io/dockercfg",
    secret: secret("kubernetes.io/dockercfg", {
      ".dockercfg": '{"registry.example.com":{"username":"u","password":"p"}}',
    }),
  },
  {
    name: "kubernetes.io/basic-auth with a registry",
    secret: secret("kubernetes.io/basic-auth", { registry: "registry.example.com\n", username: "u", password: "p" }),
  },
  {
    name: "a Tutor dictionary",
    secret: secret("Opaque", { REGISTRY_CREDENTIALS: "registry.example.com: {username: u, password: p}" }),
  },
];
for (const shape of shapes) {
  test(`a Secret is read by its type: ${shape.name}`, () => {
    const reading = readSecretSource(shape.secret, { name: "login" });
    assert.deepEqual(reading, { kind: "entries", entries: want, findings: [] });
  });
}

const written = [
  { name: "a byte order mark", content: "\ufeffregistry.example.com: {username: u, password: p}" },
  { name: "CRLF", content: "registry.example.com:\r\n  username: u\r\n  password: p\r\n" },
  { name: "line ends at the end", content: "registry.example.com: {username: u, password: p}\n\n" },
] as const;
for (const { name, content } of written) {
  test(`what editors leave in a file changes nothing: ${name}`, () => {
    const reading = readSecretSource(secret("Opaque", { REGISTRY_CREDENTIALS: content }), { name: "login" });
    assert.deepEqual(reading, { kind: "entries", entries: want, findings: [] });
  });
}

test("a docker config with a byte order mark is read", () => {
  const content = '\ufeff{"auths":{"registry.example.com":{"username":"u","password":"p"}}}\r\n';
  const reading = readSecretSource(secret("kubernetes.io/dockerconfigjson", { ".dockerconfigjson": content }), {
    name: "login",
  });
  assert.deepEqual(reading, { kind: "entries", entries: want, findings: [] });
});

test("the line end of a file that became a value of a basic-auth Secret is no part of the login", () => {
  const data = {
    registry: "https://registry.example.com/\n",
    username: "u\r\n",
    password: "p\n",
    email: "e@example.com\n",
  };
  const reading = readSecretSource(secret("kubernetes.io/basic-auth", data), { name: "login" });
  const login = { username: "u", password: "p", email: "e@example.com" };
  assert.deepEqual(reading.kind === "entries" && reading.entries, { "registry.example.com": login });
});

test("white space within a password, and at its end, is the password's", () => {
  const data = { registry: "registry.example.com", username: "u", password: " p \n q " };
  const reading = readSecretSource(secret("kubernetes.io/basic-auth", data), { name: "login" });
  assert.equal(reading.kind === "entries" && reading.entries["registry.example.com"]?.password, " p \n q ");
});

test("a reader with a memory reads each object once, and anew what took its place", () => {
  let reads = 0;
  const counted = (content: string): KubernetesObject => {
    const object = secret("Opaque", { REGISTRY_CREDENTIALS: content });
    const { data } = object;
    return Object.defineProperty({ ...object }, "data", {
      get: () => {
        reads++;
        return data;
      },
    });
  };
  const read = createSecretReader();
  const first = counted("registry.example.com: {username: u, password: p}");
  const reading = read(first, { name: "login" });
  const readsOfOne = reads;
  assert.ok(readsOfOne > 0);
  assert.equal(read(first, { name: "login" }), reading);
  assert.equal(reads, readsOfOne);
  assert.equal(read(first, { name: "login", key: "other" }).kind, "failed");
  const second = read(counted("registry.example.com: {username: u, password: q}"), { name: "login" });
  assert.equal(second.kind === "entries" && second.entries["registry.example.com"]?.password, "q");
  assert.equal(read(undefined, { name: "login" }).kind, "failed");
});

test("a key can be named", () => {
  const source = secret("Opaque", {
    "config.yml": "REGISTRY_CREDENTIALS: {registry.example.com: {username: u, password: p}}",
  });
  const reading = readSecretSource(source, { name: "login", key: "config.yml" });
  assert.deepEqual(reading.kind === "entries" && reading.entries, want);
});

const failures = [
  { name: "a Secret that does not exist", secret: undefined, reason: "SecretMissing" },
  { name: "a Secret without the key", secret: secret("Opaque", { other: "x" }), reason: "KeyMissing" },
  {
    name: "a Secret of a type that holds no registry login",
    secret: secret("kubernetes.io/tls", {}),
    reason: "TypeUnsupported",
  },
  {
    name: "basic-auth without a registry",
    secret: secret("kubernetes.io/basic-auth", { username: "u", password: "p" }),
    reason: "ContentUnreadable",
  },
  { name: "an emptied key", secret: secret("Opaque", { REGISTRY_CREDENTIALS: " \n" }), reason: "SourceEmpty" },
  {
    name: "bytes that are no text",
    secret: secret("Opaque", { REGISTRY_CREDENTIALS: Buffer.from([0xff, 0xfe]) }),
    reason: "ContentUnreadable",
  },
];
for (const { name, secret: given, reason } of failures) {
  test(`failed, naming the Secret: ${name}`, () => {
    const reading = readSecretSource(given, { name: "login" });
    assert.equal(reading.kind === "failed" && reading.reason, reason);
    assert.match(reading.kind === "failed" ? reading.message : "", /Secret login/);
  });
}

test("a Secret without data has no keys", () => {
  const bare: KubernetesObject = { metadata: { name: "login" } };
  assert.equal(readSecretSource(bare, { name: "login", key: "constructor" }).kind, "failed");
});
