import type { KubernetesObject } from "../cluster/object.ts";
import { resources } from "../cluster/resource.ts";
import type { Compiled, RegistryKey } from "../config/compiled.ts";
import { readCompiled } from "../config/compiled-secret.ts";
import { validateImageRewrite, validateLocalRegistry, validatePullCredential } from "../config/custom-resource.ts";
import type { LocalRegistrySpec, NodeAccessMode } from "../config/local-registry.ts";
import { compiledSecretName, systemNamespace } from "../config/names.ts";
import { compileState } from "../leader/compile-state.ts";
import { readAdminLogin } from "../registry/secrets.ts";
import type { ObjectSource } from "./object-source.ts";

export type CompiledFinding = {
  readonly compiled: Compiled;
  /** What could not be seen, or was assumed; for people. */
  readonly notes: readonly string[];
};

/** A login is only asked for its registry here, never for its password. */
const unknownKey: RegistryKey = { generation: 1, secret: Buffer.alloc(32).toString("base64") };

/**
 * What the webhook acts on: the compiled state itself where it may be read, else what the leader would compile from
 * the custom resources and those Secrets that can be seen.
 */
export async function findCompiled(source: ObjectSource): Promise<CompiledFinding> {
  const found = await source.get(resources.secrets, { namespace: systemNamespace, name: compiledSecretName });
  const compiled = found.kind === "found" ? readCompiled(found.object) : undefined;
  if (compiled !== undefined) return { compiled, notes: [] };
  const notes =
    found.kind === "hidden"
      ? [
          `Secret ${systemNamespace}/${compiledSecretName} cannot be read (${found.reason}): rules are taken from the custom resources, logins of Secrets that cannot be read are missing`,
        ]
      : [];
  return compileFromObjects(source, notes);
}

async function compileFromObjects(source: ObjectSource, notes: string[]): Promise<CompiledFinding> {
  const read = async (resource: (typeof resources)[keyof typeof resources]) => {
    const objects = await source.list(resource);
    if (objects === undefined) notes.push(`${resource.plural} cannot be listed: taken as none`);
    return (objects ?? []).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  };
  const registry = (await read(resources.localRegistries)).find(({ metadata }) => metadata.name === "default");
  const pullCredentials = (await read(resources.pullCredentials)).map(validatePullCredential);
  const rewrites = (await read(resources.imageRewrites)).map(validateImageRewrite);
  const validated = registry === undefined ? undefined : validateLocalRegistry(registry);
  const secrets = await readSecrets(source, [
    ...pullCredentials.flatMap((credential) =>
      credential.kind === "valid" ? credential.spec.sources.flatMap(({ secretRef }) => secretRef?.name ?? []) : [],
    ),
    ...(validated?.kind === "valid" ? [validated.spec.external?.credentialSecretRef?.name ?? []].flat() : []),
  ]);
  const {
    compiled,
    credentials,
    rewrites: findings,
  } = compileState({
    previous: undefined,
    registry: validated,
    mode: (spec) => modeOf(spec, registry, notes),
    ca: () => null,
    keys: [unknownKey],
    accepted: undefined,
    externalLogin: (name) => readAdminLogin(secrets.get(name)) ?? { username: "unknown", password: "unknown" },
    pullCredentials,
    rewrites,
    secret: (name) => secrets.get(name),
    file: () => undefined,
  });
  if (registry === undefined) notes.push("there is no LocalRegistry default: nothing can be rewritten to local");
  if (validated?.kind === "invalid") notes.push(`LocalRegistry default: ${validated.problem}`);
  for (const { name, problems } of credentials) {
    for (const { message } of problems) notes.push(`PullCredential ${name}: ${message}`);
  }
  for (const { name, invalid, inactive } of findings) {
    for (const { rule, reason } of [...invalid, ...inactive]) notes.push(`ImageRewrite ${name}#${rule}: ${reason}`);
  }
  return { compiled, notes };
}

async function readSecrets(
  source: ObjectSource,
  names: readonly string[],
): Promise<ReadonlyMap<string, KubernetesObject>> {
  const secrets = new Map<string, KubernetesObject>();
  for (const name of new Set(names)) {
    const found = await source.get(resources.secrets, { namespace: systemNamespace, name });
    if (found.kind === "found") secrets.set(name, withData(found.object));
  }
  return secrets;
}

/** A manifest may hold its values as `stringData`, which the API server would have encoded. */
export function withData(secret: KubernetesObject): KubernetesObject {
  const { stringData } = secret;
  if (typeof stringData !== "object" || stringData === null) return secret;
  const encoded = Object.entries(stringData).map(([key, value]) => [
    key,
    Buffer.from(String(value)).toString("base64"),
  ]);
  return { ...secret, data: { ...(secret.data as object | undefined), ...Object.fromEntries(encoded) } };
}

function modeOf(
  { nodeAccess = "Auto" }: LocalRegistrySpec,
  registry: KubernetesObject | undefined,
  notes: string[],
): NodeAccessMode {
  if (nodeAccess !== "Auto") return nodeAccess;
  const { nodes } = (registry?.status ?? {}) as { nodes?: { mode?: NodeAccessMode } };
  if (nodes?.mode !== undefined) return nodes.mode;
  notes.push("LocalRegistry default: nodeAccess Auto has no choice to be read: taken as HostsToml");
  return "HostsToml";
}
