import assert from "node:assert/strict";
import { test } from "node:test";
import { createSelfSigned } from "../../test/fake/self-signed.ts";
import { createLog } from "../log.ts";
import type { CertificatePair } from "../tls/certificate.ts";
import { createNamedContext, matchesName } from "./named-context.ts";

const cases = [
  { pattern: "registry.example.com", name: "registry.example.com", want: true },
  { pattern: "registry.example.com", name: "other.example.com", want: false },
  { pattern: "*.example.com", name: "registry.example.com", want: true },
  { pattern: "*.example.com", name: "a.registry.example.com", want: false },
  { pattern: "*.example.com", name: "example.com", want: false },
  { pattern: "*.example.com", name: ".example.com", want: false },
] as const;
for (const { pattern, name, want } of cases) {
  test(`a certificate for ${pattern} ${want ? "covers" : "does not cover"} ${name}`, () => {
    assert.equal(matchesName(pattern, name), want);
  });
}

test("names of the server's own are left to it", () => {
  const { cert: certificate, key } = createSelfSigned();
  const source = { current: () => ({ certificate, key }), onChange: () => undefined };
  const contextFor = createNamedContext(source, ["localhost"], createLog({ level: "silent" }));
  assert.equal(contextFor("LocalHost"), undefined);
});

test("the context follows its certificate, and ends with it", () => {
  const handlers: (() => void)[] = [];
  let current: CertificatePair | undefined;
  const source = { current: () => current, onChange: (handler: () => void) => void handlers.push(handler) };
  const contextFor = createNamedContext(source, [], createLog({ level: "silent" }));
  const serve = (pair: CertificatePair | undefined) => {
    current = pair;
    for (const handler of handlers) handler();
  };
  const pair = () => {
    const { cert, key } = createSelfSigned();
    return { certificate: cert, key };
  };
  assert.equal(contextFor("localhost"), undefined);
  serve(pair());
  const first = contextFor("LOCALHOST");
  assert.ok(first !== undefined);
  assert.equal(contextFor("registry.example.com"), undefined);
  serve(pair());
  assert.notEqual(contextFor("localhost"), first);
  serve({ certificate: "no certificate", key: "no key" });
  assert.ok(contextFor("localhost") !== undefined, "what cannot be used changes nothing");
  serve(undefined);
  assert.equal(contextFor("localhost"), undefined);
});
