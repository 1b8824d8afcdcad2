import { createHash } from "node:crypto";
import type { Compiled, CompiledCredential, CompiledRegistry, RegistryAuth } from "../config/compiled.ts";
import {
  contentHashAnnotation,
  credentialsAnnotation,
  keyNamesAnnotation,
  namespaceUidAnnotation,
  pullSecretName,
  pushAnnotation,
  pushSecretName,
  revisionAnnotation,
} from "../config/names.ts";
import { selectorMatches } from "../config/selector.ts";
import { formatDockerConfig } from "../credential/dockerconfig.ts";
import { deriveLogin } from "../credential/login.ts";
import type { RegistryAuths } from "../credential/source.ts";
import type { ObservedNamespace } from "./observed.ts";

/** The whole of a Secret that Slipway keeps in a namespace, before it is applied. */
export type PullSecret = {
  readonly name: string;
  readonly namespace: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** `data` of the Secret, each value as text. */
  readonly data: Readonly<Record<string, string>>;
  /** SHA-256 (hex) of what matters in it, the revision left out. */
  readonly contentHash: string;
  readonly revision: number;
  readonly namespaceUid: string;
};

export type DesiredSecret =
  | { readonly kind: "secret"; readonly secret: PullSecret }
  /** There is nothing to put in it: no Secret. */
  | { readonly kind: "empty" }
  /** It would pass the limit of a Secret: the one that is there stays. */
  | { readonly kind: "too-large"; readonly bytes: number };

/** @see https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size */
export const secretLimitBytes = 1_048_576;
const keyNamesLimitBytes = 16_384;

/**
 * The pull Secret of a namespace, a pure function of its arguments: the logins of the PullCredentials that select it,
 * the first by name winning, and the local registry's own under each of its names, which always win.
 */
export function desiredPullSecret(compiled: Compiled, namespace: ObservedNamespace): DesiredSecret {
  const auths: Record<string, RegistryAuth> = {};
  for (const credential of selectingCredentials(compiled, namespace)) {
    for (const [key, auth] of Object.entries(credential.auths)) if (!Object.hasOwn(auths, key)) auths[key] = auth;
  }
  if (compiled.registry !== null) Object.assign(auths, localPullAuths(compiled.registry, namespace));
  if (Object.keys(auths).length === 0) return { kind: "empty" };
  return buildSecret({
    name: pullSecretName,
    namespace,
    revision: compiled.revision,
    data: { ".dockerconfigjson": formatDockerConfig(auths) },
    keyNames: keyNamesOf(auths),
  });
}

/**
 * The push Secret of a namespace that asks for it with the annotation `slipway.dev/push: enabled`: the push login
 * under each name of the local registry, and the CA by which clients in pods trust it.
 */
export function desiredPushSecret(compiled: Compiled, namespace: ObservedNamespace): DesiredSecret {
  const { registry } = compiled;
  if (registry === null || namespace.annotations[pushAnnotation] !== "enabled") return { kind: "empty" };
  const login = localLogin(registry, { purpose: "push", namespace });
  return buildSecret({
    name: pushSecretName,
    namespace,
    revision: compiled.revision,
    data: {
      ".dockerconfigjson": formatDockerConfig(Object.fromEntries(registry.names.map((name) => [name, login]))),
      ...(registry.ca === null ? {} : { "ca.crt": registry.ca }),
    },
    keyNames: undefined,
  });
}

/**
 * The PullCredentials whose logins a namespace gets, in order of precedence: those whose namespaceSelector matches,
 * narrowed to the names in the annotation `slipway.dev/credentials` where there is one.
 */
export function selectingCredentials(
  compiled: Compiled,
  namespace: Pick<ObservedNamespace, "labels" | "annotations">,
): readonly CompiledCredential[] {
  const annotation = namespace.annotations[credentialsAnnotation];
  const names = annotation?.split(",").map((name) => name.trim());
  return compiled.credentials.filter(
    ({ name, namespaceSelector }) =>
      (names === undefined || names.includes(name)) &&
      selectorMatches(namespaceSelector ?? undefined, namespace.labels),
  );
}

/**
 * The path-scoped keys under which the shared login stands: each name of the registry × the segments before the first
 * glob of each shared repository. kubelet then sees the same login for a shared image in every namespace (section 6
 * of the design).
 */
export function sharedKeys(registry: CompiledRegistry): readonly string[] {
  const prefixes = registry.sharedRepositories.map(literalPrefix).filter((prefix) => prefix !== "");
  return registryNamesOf(registry).flatMap((name) => prefixes.map((prefix) => `${name}/${prefix}`));
}

function literalPrefix(pattern: string): string {
  const segments = pattern.split("/");
  const firstGlob = segments.findIndex((segment) => /[*?[\]{}]/.test(segment));
  return segments.slice(0, firstGlob === -1 ? undefined : firstGlob).join("/");
}

function registryNamesOf(registry: CompiledRegistry): readonly string[] {
  return [...new Set([registry.host, ...registry.names, registry.loopback])];
}

function localPullAuths(registry: CompiledRegistry, namespace: ObservedNamespace): RegistryAuths {
  const own = localLogin(registry, { purpose: "pull", namespace });
  const auths: Record<string, RegistryAuth> = {};
  for (const name of registryNamesOf(registry)) auths[name] = own;
  if (registry.login.kind === "namespace") {
    const shared = deriveLogin(registry.login.key, { purpose: "shared" });
    for (const key of sharedKeys(registry)) auths[key] = shared;
  }
  return auths;
}

function localLogin(
  registry: CompiledRegistry,
  subject: { readonly purpose: "pull" | "push"; readonly namespace: ObservedNamespace },
): RegistryAuth {
  const { login } = registry;
  if (login.kind === "fixed") return { username: login.username, password: login.password };
  const { purpose, namespace } = subject;
  return deriveLogin(login.key, { purpose, namespace: namespace.name, uid: namespace.uid });
}

/** `key_name` of each registry that has one, as JSON; undefined when there is none or it would be too long to annotate. */
function keyNamesOf(auths: RegistryAuths): string | undefined {
  const names = Object.entries(auths).flatMap(([key, { keyName }]) => (keyName === undefined ? [] : [[key, keyName]]));
  const text = JSON.stringify(Object.fromEntries(names.sort(([left = ""], [right = ""]) => (left < right ? -1 : 1))));
  return names.length === 0 || Buffer.byteLength(text) > keyNamesLimitBytes ? undefined : text;
}

function buildSecret(content: {
  readonly name: string;
  readonly namespace: ObservedNamespace;
  readonly revision: number;
  readonly data: Readonly<Record<string, string>>;
  readonly keyNames: string | undefined;
}): DesiredSecret {
  const { name, namespace, revision, data, keyNames } = content;
  const bytes = Object.values(data).reduce((sum, value) => sum + Buffer.byteLength(value), 0);
  if (bytes > secretLimitBytes) return { kind: "too-large", bytes };
  const contentHash = createHash("sha256")
    .update(JSON.stringify([namespace.uid, keyNames ?? null, Object.entries(data).sort()]))
    .digest("hex");
  const annotations = {
    [revisionAnnotation]: String(revision),
    [contentHashAnnotation]: contentHash,
    [namespaceUidAnnotation]: namespace.uid,
    ...(keyNames === undefined ? {} : { [keyNamesAnnotation]: keyNames }),
  };
  return {
    kind: "secret",
    secret: { name, namespace: namespace.name, annotations, data, contentHash, revision, namespaceUid: namespace.uid },
  };
}
