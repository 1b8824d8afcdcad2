import assert from "node:assert/strict";
import { test } from "node:test";
import { createSelfSigned } from "../../test/fake/self-signed.ts";
import { decideExternal } from "./external.ts";

const url = "https://registry.example.com";
const secret = (values: Readonly<Record<string, string>>) => ({
  metadata: { name: "s" },
  data: Object.fromEntries(Object.entries(values).map(([key, text]) => [key, Buffer.from(text).toString("base64")])),
});
const named = { url, credentialSecretRef: { name: "login" }, caSecretRef: { name: "ca" } };
const login = secret({ username: "a", password: "b" });
const ca = secret({ "ca.crt": createSelfSigned().cert });

const cases = [
  { name: "no Secret is named", external: { url }, login: undefined, ca: undefined, want: [] },
  { name: "both are there", external: named, login, ca, want: [] },
  {
    name: "neither is there",
    external: named,
    login: undefined,
    ca: undefined,
    want: ["ExternalLoginNotFound", "ExternalAuthorityNotFound"],
  },
  {
    name: "the password is empty",
    external: named,
    login: secret({ username: "a", password: "" }),
    ca,
    want: ["ExternalLoginNotFound"],
  },
  {
    name: "ca.crt holds no certificate",
    external: named,
    login,
    ca: secret({ "ca.crt": "garbage" }),
    want: ["ExternalAuthorityNotFound"],
  },
];
for (const { name, external, want, ...found } of cases) {
  test(`what is missing of an external registry's Secrets when ${name}`, () => {
    const findings = decideExternal(external, found, "slipway-system");
    assert.deepEqual(
      findings.map(({ reason }) => reason),
      want,
    );
    assert.ok(findings.every(({ message, blocks }) => blocks && message.includes("Secret slipway-system/")));
  });
}
