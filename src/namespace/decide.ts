import type { SecretState } from "../admission/world.ts";
import type { DesiredSecret, PullSecret } from "./desired.ts";
import type { ObservedNamespace, ObservedSecret } from "./observed.ts";
import type { SecretVersion } from "./secret-writer.ts";

export type SyncInput = {
  readonly namespace: ObservedNamespace;
  readonly optedIn: boolean;
  readonly observed: ObservedSecret | undefined;
  /** undefined: nothing was compiled yet. */
  readonly desired: DesiredSecret | undefined;
};

/** What the controller does about one Secret of one namespace. */
export type SyncStep =
  /** In step, or nothing to do with it. */
  | { readonly kind: "keep" }
  /** Nothing can be said yet: nothing was compiled, or the Secret is newer than what this replica has in memory. */
  | { readonly kind: "wait" }
  | { readonly kind: "apply"; readonly secret: PullSecret; readonly known: SecretVersion | undefined }
  | { readonly kind: "remove"; readonly known: SecretVersion }
  /** Somebody else's Secret stands where ours would be. */
  | { readonly kind: "refuse"; readonly reason: "ForeignSecret" }
  /** What would be written cannot be: what is there stays. */
  | { readonly kind: "hold"; readonly reason: "SecretTooLarge"; readonly bytes: number };

/**
 * The lifecycle of docs/credentials.md. A Terminating namespace is left alone, a Secret without our marker never
 * touched, and ours goes only where the namespace is served no longer or nothing is left to put in it.
 */
export function decideSync(input: SyncInput): SyncStep {
  const { namespace, optedIn, observed, desired } = input;
  if (namespace.terminating || observed?.deleting === true) return { kind: "keep" };
  const isWanted = optedIn && desired?.kind !== "empty";
  if (observed?.ours === false) return isWanted ? { kind: "refuse", reason: "ForeignSecret" } : { kind: "keep" };
  if (!isWanted) return observed === undefined ? { kind: "keep" } : { kind: "remove", known: versionOf(observed) };
  if (desired === undefined) return { kind: "wait" };
  if (desired.kind === "too-large") return { kind: "hold", reason: "SecretTooLarge", bytes: desired.bytes };
  return decideContent(observed, desired.secret);
}

function decideContent(observed: ObservedSecret | undefined, secret: PullSecret): SyncStep {
  if (observed === undefined) return { kind: "apply", secret, known: undefined };
  if (isNewer(observed, secret)) return { kind: "wait" };
  return isInStep(observed, secret) ? { kind: "keep" } : { kind: "apply", secret, known: versionOf(observed) };
}

/** What admission may say of the pull Secret, or has to do first. */
export type EnsureStep =
  | SecretState
  | { readonly kind: "write"; readonly secret: PullSecret; readonly known: SecretVersion | undefined };

/**
 * The same seen by admission, which writes on every replica and so much less: only a Secret that is absent, or whose
 * revision is lower than what it holds itself. Everything else is left to the controller.
 */
export function decideEnsure(observed: ObservedSecret | undefined, desired: DesiredSecret): EnsureStep {
  if (desired.kind === "empty") return { kind: "empty" };
  if (observed === undefined) {
    return desired.kind === "secret"
      ? { kind: "write", secret: desired.secret, known: undefined }
      : { kind: "unavailable", reason: `it would hold ${desired.bytes} bytes, more than a Secret can` };
  }
  if (!observed.ours) return { kind: "unavailable", reason: "a Secret of that name is not Slipway's" };
  if (observed.deleting) return { kind: "unavailable", reason: "it is being deleted", isPassing: true };
  return desired.kind === "too-large" ? { kind: "ready" } : ensureContent(observed, desired.secret);
}

function ensureContent(observed: ObservedSecret, secret: PullSecret): EnsureStep {
  if (isInStep(observed, secret)) return { kind: "ready" };
  const isIntact = observed.revision !== undefined && ownsAll(observed, secret);
  if (!isIntact) {
    return { kind: "unavailable", reason: "somebody changed it; it is about to be repaired", isPassing: true };
  }
  const isCurrent = observed.namespaceUid === secret.namespaceUid && (observed.revision ?? 0) >= secret.revision;
  return isCurrent ? { kind: "ready" } : { kind: "write", secret, known: versionOf(observed) };
}

/** Written from a later state than the one that this replica has in memory, for this same namespace. */
function isNewer(observed: ObservedSecret, secret: PullSecret): boolean {
  return observed.namespaceUid === secret.namespaceUid && (observed.revision ?? 0) > secret.revision;
}

/**
 * The revision is not compared: most changes of the compiled state leave the content of most namespaces as it is, and
 * a Secret is written only when its content changes.
 */
function isInStep(observed: ObservedSecret, secret: PullSecret): boolean {
  return (
    observed.contentHash === secret.contentHash &&
    observed.namespaceUid === secret.namespaceUid &&
    observed.revision !== undefined &&
    ownsAll(observed, secret) &&
    observed.ownedDataKeys.length === Object.keys(secret.data).length
  );
}

function ownsAll(observed: ObservedSecret, secret: PullSecret): boolean {
  return Object.keys(secret.data).every((key) => observed.ownedDataKeys.includes(key));
}

function versionOf({ uid, resourceVersion }: ObservedSecret): SecretVersion {
  return { uid, resourceVersion };
}
