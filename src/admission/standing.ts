import { excludedNamespaces, injectLabel, rewriteLabel } from "../config/names.ts";
import type { UntouchedReason } from "./decision.ts";
import { isMirrorPod, isWindowsPod, type PodReading, serviceAccountOf } from "./pod.ts";
import type { AdmissionWorld } from "./world.ts";

/** What may be done with a pod as a whole. */
export type Standing =
  | { readonly kind: "full" }
  /** The pull Secret comes, references stay. */
  | { readonly kind: "credentials-only"; readonly outcome: "rewrite-disabled" | "windows" }
  | { readonly kind: "none"; readonly reason: StandingReason };

export type StandingReason =
  | Exclude<UntouchedReason, "nothing-to-do" | "not-a-pod" | "unreadable-pod">
  /** Told by `explain`; the webhook is not called for such a namespace. */
  | "not-opted-in";

/**
 * Reads opt-outs itself, on the new object: the webhook's objectSelector matches when either the old or the new object
 * does, and selectors reach the API server late.
 */
export function standingOf(
  pod: PodReading,
  namespaceName: string,
  world: Pick<AdmissionWorld, "namespace" | "isConfined">,
): Standing {
  const { labels } = world.namespace;
  if ((excludedNamespaces as readonly string[]).includes(namespaceName)) {
    return { kind: "none", reason: "excluded-namespace" };
  }
  if (isMirrorPod(pod)) return { kind: "none", reason: "mirror-pod" };
  if (pod.labels[injectLabel] === "disabled" || labels[injectLabel] === "disabled") {
    return { kind: "none", reason: "opted-out" };
  }
  if (world.isConfined(serviceAccountOf(pod))) return { kind: "none", reason: "confined-account" };
  if (pod.labels[rewriteLabel] === "disabled" || labels[rewriteLabel] === "disabled") {
    return { kind: "credentials-only", outcome: "rewrite-disabled" };
  }
  return isWindowsPod(pod) ? { kind: "credentials-only", outcome: "windows" } : { kind: "full" };
}
