import type { Compiled, CompiledCredential, CompiledRegistry, RegistryAuth } from "../../src/config/compiled.ts";
import type { ObservedNamespace } from "../../src/namespace/observed.ts";

/** A compiled state to change in a test: one PullCredential, no registry. */
export function compiledState(change: Partial<Compiled> = {}): Compiled {
  return {
    revision: 1,
    registry: null,
    credentials: [compiledCredential("team", { "registry.example.com": "word" })],
    rewrites: [],
    ...change,
  };
}

/** @param passwords registry key → password; the user name is `u` */
export function compiledCredential(
  name: string,
  passwords: Readonly<Record<string, string>>,
  change: Partial<CompiledCredential> = {},
): CompiledCredential {
  const auths: Record<string, RegistryAuth> = {};
  for (const [key, password] of Object.entries(passwords)) auths[key] = { username: "u", password };
  return { name, namespaceSelector: null, injection: "Always", auths, ...change };
}

export function compiledRegistry(change: Partial<CompiledRegistry> = {}): CompiledRegistry {
  return {
    host: "registry.slipway-system.svc",
    names: ["registry.slipway-system.svc", "builds.example.com:5000"],
    loopback: "127.0.0.1:7443",
    mode: "HostsToml",
    sharedRepositories: ["docker.io/library/**"],
    ca: "a PEM",
    login: { kind: "namespace", key: { generation: 1, secret: Buffer.alloc(32, 7).toString("base64") } },
    ...change,
  };
}

/** An opted-in namespace. */
export function observedNamespace(name: string, change: Partial<ObservedNamespace> = {}): ObservedNamespace {
  return {
    name,
    uid: `uid-of-${name}`,
    labels: { "kubernetes.io/metadata.name": name, "slipway.dev/inject": "enabled" },
    annotations: {},
    terminating: false,
    ...change,
  };
}
