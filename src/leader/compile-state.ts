import { analyseRewrites, type RewriteAnalysis, type RewriteFindings } from "../admission/collision.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { Compiled, CompiledRegistry, RegistryKey } from "../config/compiled.ts";
import type { Validated } from "../config/custom-resource.ts";
import type { ImageRewriteSpec } from "../config/image-rewrite.ts";
import type { LocalRegistrySpec, NodeAccessMode } from "../config/local-registry.ts";
import type { PullCredentialSpec } from "../config/pull-credential.ts";
import { registryNames } from "../config/registry-names.ts";
import { compileCredentials } from "../credential/merge.ts";
import type { CredentialReport } from "../credential/report.ts";
import type { readSecretSource } from "../credential/secret-source.ts";
import type { SourceReading } from "../credential/source.ts";
import { compileRegistry } from "./registry-section.ts";

/** Everything that the compiled state is made of, read at one moment. */
export type CompileStateInput = {
  readonly previous: Compiled | undefined;
  /** LocalRegistry `default`; undefined when there is none, or when it is being deleted. */
  readonly registry: Validated<LocalRegistrySpec> | undefined;
  readonly mode: (spec: LocalRegistrySpec) => NodeAccessMode | null;
  readonly ca: (spec: LocalRegistrySpec) => string | null;
  readonly keys: readonly RegistryKey[];
  readonly accepted: ReadonlySet<number> | undefined;
  readonly externalLogin: (secretName: string) => { readonly username: string; readonly password: string } | undefined;
  readonly pullCredentials: readonly Validated<PullCredentialSpec>[];
  readonly rewrites: readonly Validated<ImageRewriteSpec>[];
  readonly secret: (name: string) => KubernetesObject | undefined;
  /** readSecretSource with a memory; without one unless given. */
  readonly readSecret?: typeof readSecretSource;
  readonly file: (path: string) => SourceReading | undefined;
};

export type CompiledState = {
  /** With the revision of `previous`; whoever writes it counts up when the content differs. */
  readonly compiled: Compiled;
  readonly credentials: readonly CredentialReport[];
  readonly rewrites: readonly RewriteFindings[];
};

/**
 * Compiles the custom resources into what all replicas act on. An object that cannot be understood keeps its last good
 * part, and its report says what is wrong; nothing here throws.
 */
export function compileState(input: CompileStateInput): CompiledState {
  const { previous } = input;
  const registry = registryPart(input);
  const names = registry === null ? [] : [...registry.names, registry.loopback];
  const { credentials, reports } = compileCredentials({
    pullCredentials: input.pullCredentials,
    secret: input.secret,
    ...(input.readSecret === undefined ? {} : { readSecret: input.readSecret }),
    file: input.file,
    registryNames: names,
    previous,
  });
  const { rewrites, findings } = analyseValid(input.rewrites, previous, names);
  return {
    compiled: { revision: previous?.revision ?? 0, registry, credentials, rewrites },
    credentials: reports,
    rewrites: findings,
  };
}

/** An object that does not fit its schema takes part with its last good version, or with no rules at all. */
function analyseValid(
  objects: readonly Validated<ImageRewriteSpec>[],
  previous: Compiled | undefined,
  localNames: readonly string[],
): RewriteAnalysis {
  const lastGood = previous?.rewrites ?? [];
  const lastSpec = (name: string) => lastGood.find((rewrite) => rewrite.name === name)?.spec;
  const { rewrites, findings } = analyseRewrites(
    objects.map((object) => ({
      name: object.name,
      spec: object.kind === "valid" ? object.spec : (lastSpec(object.name) ?? { rules: [] }),
    })),
    { lastGood, localNames },
  );
  return {
    rewrites,
    findings: findings.map((finding) => {
      const object = objects.find((candidate) => candidate.name === finding.name);
      if (object?.kind !== "invalid") return finding;
      const inForce = lastSpec(object.name) === undefined ? "none" : "last-good";
      return { ...finding, inForce, invalid: [{ rule: 0, reason: object.problem }] };
    }),
  };
}

function registryPart(input: CompileStateInput): CompiledRegistry | null {
  const { registry, previous } = input;
  if (registry === undefined) return null;
  if (registry.kind === "invalid") return previous?.registry ?? null;
  const { spec } = registry;
  const secretName = spec.external?.credentialSecretRef?.name;
  return compileRegistry({
    spec,
    names: registryNames(spec),
    previous: previous?.registry ?? null,
    mode: input.mode(spec),
    ca: input.ca(spec),
    keys: input.keys,
    accepted: input.accepted,
    externalLogin: secretName === undefined ? undefined : input.externalLogin(secretName),
  });
}
