import type { ImageRewriteSpec } from "./image-rewrite.ts";
import type { NodeAccessMode } from "./local-registry.ts";
import type { LabelSelector } from "./selector.ts";

/**
 * What every replica of serve acts on: compiled by the leader from the custom resources and their sources, kept in
 * the Secret `slipway-compiled` (key `compiled.json`), watched by all. The same bytes for every replica, and the last
 * good ones after a restart. It holds secrets: never log it.
 */
export type Compiled = {
  /** Counted up by the leader at each change of the content below. */
  readonly revision: number;
  readonly registry: CompiledRegistry | null;
  /** In order of precedence: PullCredentials by name. */
  readonly credentials: readonly CompiledCredential[];
  /** In order of evaluation: ImageRewrites by name. */
  readonly rewrites: readonly CompiledRewrite[];
};

export type CompiledRegistry = {
  /** The canonical name in rewritten references, `host[:port]`. */
  readonly host: string;
  /** Every name under which images of this registry are addressed, `host` first, then aliases. */
  readonly names: readonly string[];
  /** `127.0.0.1:<port>` of the loopback proxy, whatever the mode. */
  readonly loopback: string;
  /** null until `Auto` has chosen for the first time: nothing is rewritten to `local` before. */
  readonly mode: NodeAccessMode | null;
  readonly sharedRepositories: readonly string[];
  /** PEM of the CAs by which clients trust the registry; null where the system's trust is enough. */
  readonly ca: string | null;
  readonly login:
    | { readonly kind: "namespace"; readonly key: RegistryKey }
    | { readonly kind: "fixed"; readonly username: string; readonly password: string };
};

/** One generation of the key from which all registry logins are derived. */
export type RegistryKey = {
  readonly generation: number;
  /** 32 random bytes, base64. */
  readonly secret: string;
};

export type CompiledCredential = {
  readonly name: string;
  readonly namespaceSelector: LabelSelector | null;
  readonly injection: "Always" | "WhenUsed";
  /** Registry key as in a docker config → entry; validated, in canonical form. */
  readonly auths: Readonly<Record<string, RegistryAuth>>;
  /**
   * What each source gave when it was last good, before the merge and before keys of the local registry are left
   * out: a source that fails keeps its part of `auths`. In order of the sources; absent in what an older version wrote.
   */
  readonly sources?: readonly CompiledSource[];
};

export type CompiledSource = {
  /** What the source reads, see sourceId in credential/source.ts. */
  readonly id: string;
  readonly auths: Readonly<Record<string, RegistryAuth>>;
};

export type RegistryAuth = {
  readonly username: string;
  readonly password: string;
  readonly email?: string;
  /** `key_name` of a Tutor dictionary: information for people, kept as an annotation. */
  readonly keyName?: string;
};

export type CompiledRewrite = {
  readonly name: string;
  readonly spec: ImageRewriteSpec;
  /** Indexes (from 0) of rules that are switched off, because they would let two origins collide. */
  readonly inactive: readonly number[];
};
