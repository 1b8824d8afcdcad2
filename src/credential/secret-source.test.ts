import assert from "node:assert/strict";
import test from "node:test";
import { credentialSourceContract } from "../../test/contract/credential-source.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { createSecretSource, readSecretSource } from "./secret-source.ts";

const secret = (type: string, data: Readonly<Record<string, string | Buffer>>): KubernetesObject => ({
  metadata: { name: "login", namespace: "slipway-system" },
  type,
  data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")])),
});

credentialSourceContract("a Secret", async () => {
  const secrets = new Map<string, KubernetesObject>();
  return {
    source: createSecretSource({ secret: (name) => secrets.get(name), reference: { name: "login" } }),
    async fill(content) {
      secrets.set("login", secret("kubernetes.io/dockerconfigjson", { ".dockerconfigjson": content }));
    },
    async clear() {
      secrets.delete("login");
    },
  };
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
