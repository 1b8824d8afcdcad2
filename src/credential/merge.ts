import type { KubernetesObject } from "../cluster/object.ts";
import type { Compiled, CompiledCredential, CompiledSource, RegistryAuth } from "../config/compiled.ts";
import type { Validated } from "../config/custom-resource.ts";
import type { CredentialSourceSpec, PullCredentialSpec } from "../config/pull-credential.ts";
import { claimsRegistryName, parseRegistryKey } from "./registry-key.ts";
import { type CredentialConflict, type CredentialProblem, type CredentialReport, reportCredential } from "./report.ts";
import { readSecretSource } from "./secret-source.ts";
import { type RegistryAuths, type SourceReading, sourceId } from "./source.ts";

export type CompileInput = {
  /** Every PullCredential that is not being deleted, in any order; an invalid one keeps its last good logins. */
  readonly pullCredentials: readonly Validated<PullCredentialSpec>[];
  /** A Secret of slipway-system by name. */
  readonly secret: (name: string) => KubernetesObject | undefined;
  /** Reads one of them; readSecretSource unless given. */
  readonly readSecret?: typeof readSecretSource;
  /** The latest reading of a file source by path; undefined before the first. */
  readonly file: (path: string) => SourceReading | undefined;
  /** Every name of the local registry, `host[:port]`, the loopback address included; empty without one. */
  readonly registryNames: readonly string[];
  readonly previous: Compiled | undefined;
};

export type CompiledCredentials = {
  /** In order of precedence. */
  readonly credentials: readonly CompiledCredential[];
  /** One for each PullCredential of the input, by name. */
  readonly reports: readonly CredentialReport[];
};

/** The compiled state is one Secret of at most 1 MiB; this leaves room for its other parts. */
const limitBytes = 900 * 1024;

/**
 * Compiles all PullCredentials: by name, sources in order, the first to name a registry key wins. A source that fails,
 * is emptied, cannot be read, is too large or is deleted keeps what it gave last, and so does one key of a source whose
 * entry became unusable; what is no longer named by a PullCredential goes. Pure: the same input gives the same output.
 */
export function compileCredentials(input: CompileInput): CompiledCredentials {
  const credentials: CompiledCredential[] = [];
  const reports: CredentialReport[] = [];
  const owners = new Map<string, Owner>();
  const objects = [...input.pullCredentials].sort((left, right) => (left.name < right.name ? -1 : 1));
  const beforeOf = ({ name }: { readonly name: string }) =>
    input.previous?.credentials.find((credential) => credential.name === name);
  const room = createRoom(objects.flatMap((object) => lastSources(object, beforeOf(object))));
  for (const object of objects) {
    const draft = draftOf(object, beforeOf(object), { ...input, room });
    const merged = mergeSources(draft, input.registryNames);
    const conflicts = [...merged.conflicts, ...conflictsWith(owners, object.name, merged.auths)];
    reports.push(
      reportCredential({
        name: object.name,
        generation: object.generation,
        registries: Object.keys(merged.auths).sort(),
        problems: [...draft.problems, ...merged.problems],
        conflicts,
      }),
    );
    if (draft.selection === undefined) continue;
    credentials.push({ name: object.name, ...draft.selection, auths: merged.auths, sources: draft.sources });
  }
  return { credentials, reports };
}

type Owner = { readonly name: string; readonly auth: RegistryAuth };

type Draft = {
  /** undefined: there is nothing to compile, neither now nor from before. */
  readonly selection: Pick<CompiledCredential, "namespaceSelector" | "injection"> | undefined;
  readonly sources: readonly CompiledSource[];
  readonly problems: readonly CredentialProblem[];
};

function draftOf(
  object: Validated<PullCredentialSpec>,
  before: CompiledCredential | undefined,
  input: CompileInput & { readonly room: Room },
): Draft {
  if (object.kind === "invalid") {
    return draftOfBefore(before, { reason: "SpecInvalid", message: `${object.problem}; the last good state is used` });
  }
  const sources: CompiledSource[] = [];
  const problems: CredentialProblem[] = [];
  for (const [index, spec] of object.spec.sources.entries()) {
    const id = sourceId(spec);
    if (id === undefined) {
      problems.push({ reason: "SpecInvalid", message: `sources[${index}]: name one of secretRef and file` });
      continue;
    }
    if (sources.some((source) => source.id === id)) continue;
    const last = lastSource(id, before);
    const compiled = compileSource(readSource(spec, input), last.auths);
    problems.push(...compiled.problems);
    const source = { id, auths: compiled.auths };
    const isRoom = input.room.take(source, last);
    sources.push(isRoom ? source : last);
    if (!isRoom) problems.push({ reason: "TooLarge", message: `${id}: ${tooLarge}` });
  }
  const { namespaceSelector, injection } = object.spec;
  return {
    selection: { namespaceSelector: namespaceSelector ?? null, injection: injection ?? "Always" },
    sources,
    problems,
  };
}

function draftOfBefore(before: CompiledCredential | undefined, problem: CredentialProblem): Draft {
  if (before === undefined) return { selection: undefined, sources: [], problems: [problem] };
  const { namespaceSelector, injection, sources, name, auths } = before;
  return {
    selection: { namespaceSelector, injection },
    sources: sources ?? [{ id: `compiled/${name}`, auths }],
    problems: [problem],
  };
}

const tooLarge = `with it all compiled credentials would pass ${limitBytes} bytes; its last good logins are used`;

/** What is left of the compiled state's size. What was good last has its place in any case, whatever else grows. */
type Room = {
  /** @returns false where `source` does not fit; `last` does */
  take(source: CompiledSource, last: CompiledSource): boolean;
};

function createRoom(reserved: readonly CompiledSource[]): Room {
  let freeBytes = reserved.reduce((free, source) => free - bytesOf(source), limitBytes);
  return {
    take(source, last) {
      const addedBytes = bytesOf(source) - bytesOf(last);
      if (addedBytes > Math.max(0, freeBytes)) return false;
      freeBytes -= addedBytes;
      return true;
    },
  };
}

/** Twice: a login stands with its source and in what was merged. */
function bytesOf(source: CompiledSource): number {
  return 2 * Buffer.byteLength(JSON.stringify(source));
}

function lastSource(id: string, before: CompiledCredential | undefined): CompiledSource {
  return { id, auths: before?.sources?.find((source) => source.id === id)?.auths ?? {} };
}

/** What of the state before stays in any case: the last good logins of every source that is still named. */
function lastSources(
  object: Validated<PullCredentialSpec>,
  before: CompiledCredential | undefined,
): readonly CompiledSource[] {
  if (object.kind === "invalid") return before?.sources ?? [];
  const ids = new Set(object.spec.sources.flatMap((spec) => sourceId(spec) ?? []));
  return [...ids].map((id) => lastSource(id, before));
}

function readSource(spec: CredentialSourceSpec, input: CompileInput): SourceReading {
  const { secretRef, file } = spec;
  const { readSecret = readSecretSource } = input;
  if (secretRef !== undefined) return readSecret(input.secret(secretRef.name), secretRef);
  const path = file?.path ?? "";
  const notYet: SourceReading = { kind: "failed", reason: "NotReadYet", message: `file ${path}: not read yet` };
  return input.file(path) ?? notYet;
}

/** What a source contributes: its reading, and its last good logins for what that reading could not give. */
function compileSource(
  reading: SourceReading,
  last: RegistryAuths,
): { readonly auths: RegistryAuths; readonly problems: readonly CredentialProblem[] } {
  const findings = reading.findings ?? [];
  const problems: CredentialProblem[] = findings.map(({ message }) => ({ reason: "EntryInvalid", message }));
  if (reading.kind === "failed") {
    const kept = Object.keys(last).length > 0 ? "; its last good logins are used" : "";
    const failure: CredentialProblem = { reason: "SourceFailed", message: `${reading.message}${kept}` };
    return { auths: last, problems: [failure, ...problems] };
  }
  const auths: Record<string, RegistryAuth> = { ...reading.entries };
  const lastGood = new Map(Object.entries(last));
  for (const { registry = "" } of findings) {
    const auth = lastGood.get(registry);
    if (auth !== undefined && !Object.hasOwn(auths, registry)) auths[registry] = auth;
  }
  return { auths, problems };
}

function mergeSources(
  draft: Draft,
  registryNames: readonly string[],
): {
  readonly auths: RegistryAuths;
  readonly conflicts: readonly CredentialConflict[];
  readonly problems: readonly CredentialProblem[];
} {
  const auths: Record<string, RegistryAuth> = {};
  const winners = new Map<string, string>();
  const conflicts: CredentialConflict[] = [];
  const problems: CredentialProblem[] = [];
  for (const { id, auths: own } of draft.sources) {
    for (const [registry, auth] of Object.entries(own)) {
      const name = localNameOf(registry, registryNames);
      const winner = winners.get(registry);
      if (name !== undefined) {
        problems.push({
          reason: "LocalRegistryKey",
          message: `${id}: ${registry} names the local registry (${name}), whose login is Slipway's own; remove the entry`,
        });
      } else if (winner === undefined) {
        winners.set(registry, id);
        auths[registry] = auth;
      } else if (!sameLogin(auths[registry], auth)) {
        conflicts.push({ registry, winner });
      }
    }
  }
  return { auths, conflicts, problems };
}

function localNameOf(registry: string, names: readonly string[]): string | undefined {
  const parts = parseRegistryKey(registry);
  return parts === undefined ? undefined : names.find((name) => claimsRegistryName(parts, name));
}

/** Notes who names a key first; the later login still serves namespaces that only its own PullCredential selects. */
function conflictsWith(owners: Map<string, Owner>, name: string, auths: RegistryAuths): readonly CredentialConflict[] {
  const conflicts: CredentialConflict[] = [];
  for (const [registry, auth] of Object.entries(auths)) {
    const owner = owners.get(registry);
    if (owner === undefined) owners.set(registry, { name, auth });
    else if (!sameLogin(owner.auth, auth)) conflicts.push({ registry, winner: `PullCredential ${owner.name}` });
  }
  return conflicts;
}

function sameLogin(left: RegistryAuth | undefined, right: RegistryAuth): boolean {
  return left?.username === right.username && left.password === right.password;
}
