import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { CompiledRegistry, RegistryKey } from "../config/compiled.ts";
import { registryNames } from "../config/registry-names.ts";
import { compileRegistry, type RegistrySectionInput } from "./registry-section.ts";

const first: RegistryKey = { generation: 1, secret: "MQ==" };
const second: RegistryKey = { generation: 2, secret: "Mg==" };

function compile(parts: Partial<RegistrySectionInput>): CompiledRegistry | null {
  const spec = parts.spec ?? {};
  return compileRegistry({
    spec,
    names: registryNames(spec),
    previous: null,
    mode: "HostsToml",
    ca: null,
    keys: [first],
    accepted: undefined,
    externalLogin: undefined,
    ...parts,
  });
}

function generationOf(registry: CompiledRegistry | null): number | undefined {
  return registry?.login.kind === "namespace" ? registry.login.key.generation : undefined;
}

describe("the key that logins are derived from", () => {
  const handedOut = compile({});
  const cases = [
    { name: "is the first at once, whoever accepts it", input: {}, want: 1 },
    { name: "is none while there is none", input: { keys: [] }, want: undefined },
    {
      name: "stays while the gateways do not know the next",
      input: { keys: [second, first], previous: handedOut },
      want: 1,
    },
    {
      name: "stays while one gateway does not know the next",
      input: { keys: [second, first], previous: handedOut, accepted: new Set([1]) },
      want: 1,
    },
    {
      name: "is the next when all gateways accept it",
      input: { keys: [second, first], previous: handedOut, accepted: new Set([1, 2]) },
      want: 2,
    },
    {
      name: "is the newest when the one before was taken away",
      input: { keys: [second], previous: handedOut },
      want: 2,
    },
    { name: "stays when the key Secret is gone", input: { keys: [], previous: handedOut }, want: 1 },
  ] as const;
  for (const { name, input, want } of cases) test(name, () => assert.equal(generationOf(compile(input)), want));
});

describe("an external registry with its own login", () => {
  const spec = { external: { url: "https://registry.example.com:8443", credentialSecretRef: { name: "login" } } };
  const externalLogin = { username: "u", password: "p" };
  test("gives every namespace that login, under the host of its URL", () => {
    const compiled = compile({ spec, externalLogin });
    assert.deepEqual(compiled?.login, { kind: "fixed", ...externalLogin });
    assert.deepEqual(compiled?.names, ["registry.example.com:8443"]);
  });
  test("keeps the last login while the Secret cannot be read, and waits where there was none", () => {
    const before = compile({ spec, externalLogin });
    assert.deepEqual(compile({ spec, previous: before })?.login, before?.login);
    assert.equal(compile({ spec }), null);
  });
});

test("a hosted registry has the names of its Service, and aliases once", () => {
  const compiled = compile({ spec: { aliases: ["builds.registry.svc.cluster.local", "registry.slipway-system.svc"] } });
  assert.equal(compiled?.host, "registry.slipway-system.svc");
  assert.deepEqual(compiled?.names, [
    "registry.slipway-system.svc",
    "registry.slipway-system.svc.cluster.local",
    "builds.registry.svc.cluster.local",
  ]);
});
