import assert from "node:assert/strict";
import { test } from "node:test";
import { createSelfSigned } from "../../test/fake/self-signed.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { decideProvidedCertificate } from "./provided-certificate.ts";

const spec = { certificate: { secretName: "mine" } };
const facts = { namespace: "slipway-system", nowMs: Date.now() };
const own = createSelfSigned();

function secretOf(values: Record<string, string>): KubernetesObject {
  const data = Object.fromEntries(
    Object.entries(values).map(([name, text]) => [name, Buffer.from(text).toString("base64")]),
  );
  return { metadata: { name: "mine", namespace: "slipway-system" }, type: "kubernetes.io/tls", data };
}

const cases = [
  { name: "without the field the copy goes", spec: {}, secret: undefined, want: ["remove"] },
  { name: "a Secret that is missing keeps the copy", spec, secret: undefined, want: ["keep", "CertificateNotFound"] },
  {
    name: "a pair is copied",
    spec,
    secret: secretOf({ "tls.crt": own.cert, "tls.key": own.key }),
    want: ["apply"],
  },
  {
    name: "a key of another certificate keeps the copy",
    spec,
    secret: secretOf({ "tls.crt": own.cert, "tls.key": createSelfSigned().key }),
    want: ["keep", "CertificateInvalid"],
  },
  {
    name: "no certificate at all keeps the copy",
    spec,
    secret: secretOf({ "tls.crt": "", "tls.key": own.key }),
    want: ["keep", "CertificateInvalid"],
  },
] as const;
for (const { name, spec: given, secret, want } of cases) {
  test(name, () => {
    const { copy, findings } = decideProvidedCertificate(given, secret, facts);
    assert.deepEqual([copy.kind, ...findings.map(({ reason }) => reason)], want);
    assert.ok(findings.every(({ blocks }) => !blocks));
  });
}

test("one that has ended is served all the same, and named", () => {
  const secret = secretOf({ "tls.crt": own.cert, "tls.key": own.key });
  const late = { ...facts, nowMs: facts.nowMs + 10 * 86_400_000 };
  const { copy, findings } = decideProvidedCertificate(spec, secret, late);
  assert.equal(copy.kind, "apply");
  assert.deepEqual(
    findings.map(({ reason }) => reason),
    ["CertificateExpired"],
  );
});

test("the key stands in no finding", () => {
  const broken = secretOf({ "tls.crt": "broken", "tls.key": own.key });
  const { findings } = decideProvidedCertificate(spec, broken, facts);
  assert.ok(!JSON.stringify(findings).includes("PRIVATE KEY"));
});
