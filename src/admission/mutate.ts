import { concludePod } from "./conclusion.ts";
import type { Decision, UntouchedReason } from "./decision.ts";
import { inspectPod, type PodChange } from "./inspect.ts";
import { readPod } from "./pod.ts";
import type { AdmissionRequest } from "./review.ts";
import { type Standing, standingOf } from "./standing.ts";
import type { AdmissionWorld } from "./world.ts";

/**
 * Decides about one admission request: CREATE of pods, UPDATE of pods, UPDATE of pods/ephemeralcontainers; everything
 * else is untouched. Pure, and it never throws, whatever shape the object has.
 *
 * @param world the facts of this moment; see world.ts
 * @returns the patch with its warnings, or why there is none
 * @see docs/reference.md (every rule with its source)
 */
export function mutate(request: AdmissionRequest, world: AdmissionWorld): Decision {
  const change = changeOf(request);
  if (change === undefined) return untouched("not-a-pod");
  const pod = readPod(request.object);
  if (pod === undefined) return untouched("unreadable-pod", "slipway: the pod has no spec and was left as it is");
  const standing = standingOf(pod, request.namespace === "" ? world.namespace.name : request.namespace, world);
  if (standing.kind === "none" && standing.reason !== "confined-account") return untouched(untouchedReason(standing));
  const { patch, ...consequences } = concludePod(pod, inspectPod(pod, change, standing, world));
  if (patch.length > 0) return { kind: "patched", patch, ...consequences };
  return { kind: "untouched", reason: untouchedReason(standing), ...consequences };
}

/**
 * Whether the namespace's pull Secret should be looked at, and written where it is missing, before mutate is called:
 * on CREATE of a pod that is not left alone. Nothing is ensured on UPDATE.
 */
export function needsPullSecret(request: AdmissionRequest, world: Omit<AdmissionWorld, "secret">): boolean {
  const pod = changeOf(request)?.kind === "create" ? readPod(request.object) : undefined;
  if (pod === undefined) return false;
  const namespace = request.namespace === "" ? world.namespace.name : request.namespace;
  return standingOf(pod, namespace, world).kind !== "none";
}

function changeOf({ resource, subResource, operation, oldObject }: AdmissionRequest): PodChange | undefined {
  if (resource.group !== "" || resource.resource !== "pods") return undefined;
  if (subResource === "" && operation === "CREATE") return { kind: "create" };
  if (operation !== "UPDATE") return undefined;
  if (subResource === "") return { kind: "update", old: readPod(oldObject) };
  return subResource === "ephemeralcontainers" ? { kind: "ephemeral", old: readPod(oldObject) } : undefined;
}

function untouchedReason(standing: Standing): UntouchedReason {
  if (standing.kind !== "none" || standing.reason === "not-opted-in") return "nothing-to-do";
  return standing.reason;
}

function untouched(reason: UntouchedReason, warning?: string): Decision {
  return {
    kind: "untouched",
    reason,
    warnings: warning === undefined ? [] : [warning],
    audit: { "left-alone": reason },
    counts: {},
  };
}
