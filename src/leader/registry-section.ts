import type { CompiledRegistry, RegistryKey } from "../config/compiled.ts";
import type { LocalRegistrySpec, NodeAccessMode } from "../config/local-registry.ts";
import { defaultSharedRepositories } from "../config/local-registry.ts";
import type { RegistryNames } from "../config/registry-names.ts";

export type RegistrySectionInput = {
  readonly spec: LocalRegistrySpec;
  readonly names: RegistryNames;
  readonly previous: CompiledRegistry | null;
  /** What `nodeAccess` comes to at the moment; null until `Auto` has chosen. */
  readonly mode: NodeAccessMode | null;
  readonly ca: string | null;
  /** Newest first, as in Secret `slipway-registry-keys`; empty while it does not exist. */
  readonly keys: readonly RegistryKey[];
  /** Generations that every running gateway accepts; undefined while that is not known or none runs. */
  readonly accepted: ReadonlySet<number> | undefined;
  /** Of `external.credentialSecretRef`; undefined when the Secret is absent or cannot be read. */
  readonly externalLogin: { readonly username: string; readonly password: string } | undefined;
};

/**
 * The registry's part of the compiled state.
 *
 * @returns null while there is no login that could be handed out: references and Secrets wait for it
 */
export function compileRegistry(input: RegistrySectionInput): CompiledRegistry | null {
  const login = compileLogin(input);
  if (login === undefined) return null;
  return {
    ...input.names,
    mode: input.mode,
    sharedRepositories: input.spec.auth?.sharedRepositories ?? defaultSharedRepositories,
    ca: input.ca,
    login,
  };
}

function compileLogin(input: RegistrySectionInput): CompiledRegistry["login"] | undefined {
  const { spec, previous, externalLogin } = input;
  if (spec.external?.credentialSecretRef !== undefined) {
    if (externalLogin !== undefined) return { kind: "fixed", ...externalLogin };
    return previous?.login.kind === "fixed" ? previous.login : undefined;
  }
  const key = handedOutKey(input.keys, input.accepted, previous);
  return key === undefined ? undefined : { kind: "namespace", key };
}

/**
 * The generation that logins are derived from. The first is handed out at once; a later one only when every running
 * gateway has reported that it accepts it, so that no namespace holds a login that a gateway does not know.
 */
function handedOutKey(
  keys: readonly RegistryKey[],
  accepted: ReadonlySet<number> | undefined,
  previous: CompiledRegistry | null,
): RegistryKey | undefined {
  const current = previous?.login.kind === "namespace" ? previous.login.key : undefined;
  if (keys.length === 0 || current === undefined) return keys[0] ?? current;
  const currentIsValid = keys.some((key) => key.generation === current.generation && key.secret === current.secret);
  if (!currentIsValid) return keys[0];
  return keys.find((key) => key.generation === current.generation || accepted?.has(key.generation) === true) ?? current;
}
