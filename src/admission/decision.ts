import type { PatchOperation } from "./patch.ts";

/** What admission answers to one request. Every request that can be read is allowed; see answer.ts for its form. */
export type Decision =
  | (Consequences & {
      readonly kind: "untouched";
      readonly reason: UntouchedReason;
    })
  | (Consequences & {
      readonly kind: "patched";
      readonly patch: readonly PatchOperation[];
    });

export type UntouchedReason =
  /** The request is about no pod, or about an operation that changes no reference. */
  | "not-a-pod"
  /** The object is not shaped like a pod at all. */
  | "unreadable-pod"
  | "mirror-pod"
  | "excluded-namespace"
  | "opted-out"
  /** Its ServiceAccount enforces mountable Secrets and does not list ours. */
  | "confined-account"
  | "nothing-to-do";

export type Consequences = {
  /** For the user, each at most 256 characters and 4,096 in all. */
  readonly warnings: readonly string[];
  /** Audit annotations, without the webhook's name: short stable keys and values. */
  readonly audit: Readonly<Record<string, string>>;
  /** How many references were dealt with in each way, for metrics. */
  readonly counts: Readonly<Partial<Record<ImageOutcome, number>>>;
};

/** A reference at the local registry. */
export type LocalReference = {
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
};

/** How one image reference was dealt with: stable words, used in metrics, audit annotations and `explain`. */
export type ImageOutcome =
  | "rewritten"
  /** Another name of the local registry was turned into the loopback address. */
  | "retargeted"
  /** On UPDATE: the reference that the pod was admitted with was put back. */
  | "put-back"
  | "empty"
  | "placeholder"
  | "not-a-string"
  | "unreadable"
  | "at-local-registry"
  | "already-rewritten"
  | "not-opted-in"
  | "rewrite-disabled"
  | "windows"
  | "left-alone"
  | "no-rule"
  | "no-local-registry"
  | "not-present"
  | "catalogue-unknown"
  | "node-access-undecided"
  | "node-access-closed"
  | "no-pull-secret"
  | "host-not-mappable"
  | "too-long"
  | "ambiguous";

/** Whether an outcome means that the field gets another value. */
export function changesReference(outcome: ImageOutcome): boolean {
  return outcome === "rewritten" || outcome === "retargeted" || outcome === "put-back";
}
