import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { nextGeneration, readRegistryKeys, writeRegistryKeys } from "./keys.ts";
import { decideSecrets, readAdminLogin } from "./secrets.ts";

const secret = (data: Readonly<Record<string, string>>) => ({
  metadata: { name: "x" },
  data: Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString("base64")])),
});
const none = { admin: undefined, keys: undefined, http: undefined };

test("all three are made where none is there, of types that our admission policy allows", () => {
  const { create, findings } = decideSecrets(none, "slipway-system", randomBytes);
  assert.deepEqual(findings, []);
  assert.deepEqual(
    create.map((object) => `${object.metadata.name} ${object.type}`),
    ["slipway-registry-admin kubernetes.io/basic-auth", "slipway-registry-keys Opaque", "slipway-registry-http Opaque"],
  );
  const [admin, keys] = create;
  assert.equal(readAdminLogin(admin)?.username, "admin");
  assert.ok((readAdminLogin(admin)?.password.length ?? 0) >= 43);
  assert.equal(readRegistryKeys(keys)?.[0]?.generation, 1);
});

test("what is there stays, even when it cannot be read, and is reported", () => {
  const found = { admin: secret({ username: "admin" }), keys: secret({ "keys.json": "{" }), http: secret({}) };
  const { create, findings } = decideSecrets(found, "slipway-system", randomBytes);
  assert.deepEqual(create, []);
  assert.deepEqual(
    findings.map(({ reason }) => reason),
    ["AdminSecretInvalid", "KeySecretInvalid"],
  );
});

test("no finding holds a secret", () => {
  const found = { ...none, admin: secret({ password: "hush" }), keys: secret({ "keys.json": '"hush"' }) };
  assert.doesNotMatch(JSON.stringify(decideSecrets(found, "slipway-system", randomBytes).findings), /hush/);
});

test("a new generation comes first, and only the one before it is kept", () => {
  let keys = nextGeneration([], randomBytes(32));
  for (let round = 0; round < 3; round++) keys = nextGeneration(keys, randomBytes(32));
  assert.deepEqual(
    keys.map((key) => key.generation),
    [4, 3],
  );
  assert.deepEqual(readRegistryKeys(secret({ "keys.json": writeRegistryKeys(keys) })), keys);
});

const short = Buffer.alloc(31).toString("base64");
const unreadable = [
  "",
  "null",
  "[]",
  '{"generations":[]}',
  '{"generations":[{"generation":0,"secret":""}]}',
  `{"generations":[{"generation":1,"secret":"${short}"}]}`,
];
for (const text of unreadable) {
  test(`no keys: ${text === "" ? "(empty)" : text}`, () => {
    assert.equal(readRegistryKeys(secret({ "keys.json": text })), undefined);
  });
}
