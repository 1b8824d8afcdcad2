import type { RegistryAuth } from "../config/compiled.ts";
import type { CredentialSourceSpec } from "../config/pull-credential.ts";

/** Registry key in canonical form (see registry-key.ts) → login. */
export type RegistryAuths = Readonly<Record<string, RegistryAuth>>;

/** Why one entry of a source is not served. */
export type FindingReason =
  /** `auth` or a field is not what kubelet can read. */
  | "EntryMalformed"
  /** Only an identity token, which kubelet cannot use to pull. */
  | "IdentityTokenOnly"
  /** No login at all, e.g. because a credential helper keeps it. */
  | "LoginMissing"
  /** The key names no registry. */
  | "RegistryKeyInvalid"
  /** A second entry with the same normalised key. */
  | "KeyRepeated";

export type SourceFinding = {
  readonly reason: FindingReason;
  /** The canonical registry key, where it could be read. */
  readonly registry?: string;
  /** For people: names the entry and what to do; never content. */
  readonly message: string;
};

/** Why a source as a whole gave nothing. */
export type SourceFailure =
  | "SecretMissing"
  | "KeyMissing"
  | "TypeUnsupported"
  | "ContentUnreadable"
  | "SourceEmpty"
  | "FileMissing"
  | "FileUnreadable"
  | "SourceUnreachable"
  | "SourceInvalid"
  | "NotReadYet";

export type SourceReading =
  | {
      readonly kind: "entries";
      readonly entries: RegistryAuths;
      readonly findings: readonly SourceFinding[];
      /** Wall clock, milliseconds since the epoch; absent: the logins do not end by themselves. */
      readonly expiresAtMs?: number;
    }
  | {
      readonly kind: "failed";
      readonly reason: SourceFailure;
      /** For people: names the Secret or file, the key and what to do; never content. */
      readonly message: string;
      readonly findings?: readonly SourceFinding[];
    };

/**
 * Where registry logins come from. One object for each distinct source of all PullCredentials: it is read once per
 * refresh, whatever the number of namespaces (see source-follower.ts), and what it gives is fanned out.
 */
export type CredentialSource = {
  /** The same for the same source, see sourceId. */
  readonly id: string;
  /** How long a reading without `expiresAtMs` is good before the source is asked again, milliseconds. */
  readonly refreshMs: number;
  /** Reads the source now. Everything that can go wrong outside is a `failed` reading; rejects only when `signal` aborts. */
  read(signal: AbortSignal): Promise<SourceReading>;
};

/**
 * One name for what `spec` reads: `secret/<name>[#<key>]` or `file/<path>`; undefined when it names nothing or two things.
 */
export function sourceId(spec: CredentialSourceSpec): string | undefined {
  const { secretRef, file } = spec;
  if (secretRef !== undefined && file === undefined) {
    return secretRef.key === undefined ? `secret/${secretRef.name}` : `secret/${secretRef.name}#${secretRef.key}`;
  }
  return file !== undefined && secretRef === undefined ? `file/${file.path}` : undefined;
}
