import type { AuthorityRecord, ObservedAuthority } from "./authority-secret.ts";
import { bundlePem } from "./authority-secret.ts";
import { type CertificateFacts, type CertificateNames, sameNames } from "./certificate.ts";
import { backdateMs } from "./issue.ts";
import type { ObservedLeaf } from "./leaf-secret.ts";

/** Everything read about one authority and its leaves. */
export type ObservedCertificates = {
  readonly authority: ObservedAuthority;
  readonly leaves: readonly ObservedLeaf[];
  readonly spread: (fingerprint: string) => Spread;
};

/**
 * How far a CA has come: `reported` by all who have to trust it; `published` wherever they read it, their reports
 * outstanding; `unpublished` as far as we know.
 */
export type Spread = "reported" | "published" | "unpublished";

export type CertificateRules = {
  /** Names wanted in each leaf, by the name of its Secret; undefined: not known yet, left alone. */
  readonly names: Readonly<Record<string, CertificateNames | undefined>>;
};

export type CertificateStep =
  /** A new CA is to be made and written; it signs at once (`current`) or waits (`next`). */
  | { readonly kind: "issue-authority"; readonly slot: "current" | "next"; readonly record: AuthorityRecord }
  /** The record is to be written as it is given: a promotion, another bundle, a repaired marker. */
  | { readonly kind: "write-authority"; readonly reason: "promote" | "repair"; readonly record: AuthorityRecord }
  | { readonly kind: "issue-leaf"; readonly secretName: string; readonly reason: LeafReason; readonly bundle: string }
  /** The leaf stays; the bundle beside it, or its marker, is to be written. */
  | { readonly kind: "write-leaf"; readonly secretName: string; readonly bundle: string };

export type LeafReason = "absent" | "expired" | "untrusted" | "due" | "renamed" | "authority-changed";

/** After the last leaf of an old CA was replaced, the CA stays in the bundle this long: servers reload within it. */
export const retireAfterMs = 10 * 60 * 1000;
/** A published CA this old counts as known to all without their reports. */
export const spreadAfterMs = 10 * 60 * 1000;
/**
 * No leaf of a CA is issued earlier than this after the CA was written, where a leaf of another CA is served. Pods that
 * have our CA mounted, from the push Secret or a copy of ConfigMap `slipway-ca`, report to nobody, and kubelet brings a
 * mounted volume up to date within its sync period, 60 to 90 seconds.
 *
 * @see https://kubernetes.io/docs/concepts/configuration/secret/#mounted-secrets-are-updated-automatically
 */
export const settleMs = 120 * 1000;
const clockSkewMs = 24 * 60 * 60 * 1000;

/**
 * What to do next about one authority and its leaves. A step about the authority comes alone: what follows is decided
 * on what it left behind. No step means that all is as it should be until time or the world moves on.
 *
 * Renewal is at two thirds of the life. A leaf of a new CA is issued only when the CA has spread (reported, or
 * published and ten minutes old), unless no usable leaf is served at all: then waiting helps nobody. Another leaf of the
 * CA whose leaf is served already waits for nothing.
 */
export function decideCertificates(
  observed: ObservedCertificates,
  rules: CertificateRules,
  nowMs: number,
): readonly CertificateStep[] {
  const first = decideAuthority(observed, nowMs);
  if (first !== undefined) return [first];
  const { current } = observed.authority;
  if (current === undefined) return [];
  const bundle = bundlePem(observed.authority.bundle);
  const authority = { current: current.facts, mayTakeOver: hasSpread(current.facts, observed, nowMs) };
  return observed.leaves.flatMap((leaf): readonly CertificateStep[] => {
    const names = rules.names[leaf.secretName];
    if (names === undefined) return [];
    const { secretName } = leaf;
    const stale = brokenReason(leaf, nowMs) ?? staleReason(leaf, names, { ...authority, nowMs });
    if (stale !== undefined) return [{ kind: "issue-leaf", secretName, reason: stale, bundle }];
    return leaf.bundle === bundle && leaf.intact ? [] : [{ kind: "write-leaf", secretName, bundle }];
  });
}

/** Whether a rotation or a recovery is under way, so that a look is worth while soon. */
export function isUnsettled(observed: ObservedCertificates, nowMs: number): boolean {
  const { current, next, bundle } = observed.authority;
  if (current === undefined || next !== undefined || bundle.length > 1) return true;
  return !hasSpread(current.facts, observed, nowMs);
}

/** Two thirds of the life are over. */
export function isDue(facts: CertificateFacts, nowMs: number): boolean {
  return nowMs >= facts.notBeforeMs + ((facts.notAfterMs - facts.notBeforeMs) * 2) / 3;
}

function decideAuthority(observed: ObservedCertificates, nowMs: number): CertificateStep | undefined {
  const { authority } = observed;
  const current = authority.current && isValid(authority.current.facts, nowMs) ? authority.current : undefined;
  const next = authority.next && isValid(authority.next.facts, nowMs) ? authority.next : undefined;
  const record = (held: Pick<AuthorityRecord, "current" | "next">): AuthorityRecord => {
    const bundle = wantedBundle(held, observed, nowMs);
    const since = bundle.map(({ fingerprint }) => [fingerprint, authority.since[fingerprint] ?? nowMs] as const);
    return { ...held, bundle, since: Object.fromEntries(since), rotated: authority.rotated };
  };
  if (next !== undefined && (current === undefined || hasSpread(next.facts, observed, nowMs))) {
    return { kind: "write-authority", reason: "promote", record: record({ current: next, next: undefined }) };
  }
  if (current === undefined) {
    return { kind: "issue-authority", slot: "current", record: record({ current: undefined, next: undefined }) };
  }
  const asked = authority.rotateRequested !== authority.rotated;
  if (next === undefined && (asked || isDue(current.facts, nowMs))) {
    const rotated = { ...record({ current, next: undefined }), rotated: authority.rotateRequested };
    return { kind: "issue-authority", slot: "next", record: rotated };
  }
  const wanted = record({ current, next });
  const same = bundlePem(wanted.bundle) === bundlePem(authority.bundle) && sameSince(wanted, authority);
  return same && authority.intact ? undefined : { kind: "write-authority", reason: "repair", record: wanted };
}

/** Current, next, and every other valid CA of which a leaf is served or was served until a moment ago. */
function wantedBundle(
  held: Pick<AuthorityRecord, "current" | "next">,
  observed: ObservedCertificates,
  nowMs: number,
): readonly CertificateFacts[] {
  const own = [held.current?.facts, held.next?.facts].filter((facts) => facts !== undefined);
  const isOwn = ({ fingerprint }: CertificateFacts) => own.some((facts) => facts.fingerprint === fingerprint);
  const issuers = observed.leaves.map((leaf) => leaf.issuer).filter((facts) => facts !== undefined);
  const replacedMs = Math.max(0, ...observed.leaves.map((leaf) => (leaf.facts?.notBeforeMs ?? 0) + backdateMs));
  const justReplaced = nowMs - replacedMs < retireAfterMs;
  const previous = unique([...observed.authority.bundle, ...issuers]).filter(
    (facts) =>
      !isOwn(facts) &&
      isValid(facts, nowMs) &&
      (justReplaced || issuers.some((issuer) => issuer.fingerprint === facts.fingerprint)),
  );
  return [...own, ...previous];
}

function hasSpread(facts: CertificateFacts, observed: ObservedCertificates, nowMs: number): boolean {
  const since = observed.authority.since[facts.fingerprint];
  if (since === undefined || nowMs - since < settleMs) return false;
  const spread = observed.spread(facts.fingerprint);
  return spread === "reported" || (spread === "published" && nowMs - since >= spreadAfterMs);
}

function brokenReason(leaf: ObservedLeaf, nowMs: number): LeafReason | undefined {
  if (leaf.facts === undefined) return "absent";
  if (!isValid(leaf.facts, nowMs)) return "expired";
  return leaf.issuer === undefined ? "untrusted" : undefined;
}

function staleReason(
  leaf: ObservedLeaf,
  names: CertificateNames,
  now: { readonly current: CertificateFacts; readonly mayTakeOver: boolean; readonly nowMs: number },
): LeafReason | undefined {
  if (leaf.issuer?.fingerprint !== now.current.fingerprint) return now.mayTakeOver ? "authority-changed" : undefined;
  if (leaf.facts === undefined || isDue(leaf.facts, now.nowMs)) return "due";
  return sameNames(leaf.facts.names, names) ? undefined : "renamed";
}

/** A start in the near future is the clock of another leader, and no reason to replace what is served. */
function isValid(facts: CertificateFacts, nowMs: number): boolean {
  return nowMs < facts.notAfterMs && nowMs + clockSkewMs >= facts.notBeforeMs;
}

function sameSince(wanted: AuthorityRecord, observed: AuthorityRecord): boolean {
  const keys = Object.keys(wanted.since);
  return keys.length === Object.keys(observed.since).length && keys.every((key) => Object.hasOwn(observed.since, key));
}

function unique(facts: readonly CertificateFacts[]): readonly CertificateFacts[] {
  return [...new Map(facts.map((each) => [each.fingerprint, each])).values()];
}
