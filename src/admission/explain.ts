import { pullSecretName } from "../config/names.ts";
import { type ReferenceFault, referenceError } from "../reference/fault.ts";
import { concludePod } from "./conclusion.ts";
import type { ImageOutcome } from "./decision.ts";
import { type InspectedImage, type Inspection, inspectPod } from "./inspect.ts";
import type { PatchOperation } from "./patch.ts";
import { fieldPath, readPod } from "./pod.ts";
import { reasonFor } from "./reason.ts";
import { type Standing, standingOf } from "./standing.ts";
import type { AdmissionWorld } from "./world.ts";

/** Why a pod gets what it gets: the stable JSON form of `slipway explain`. */
export type Explanation = {
  readonly images: readonly ExplainedImage[];
  /** The names that the pod has afterwards, in order. */
  readonly imagePullSecrets: readonly string[];
  readonly warnings: readonly string[];
  readonly patch: readonly PatchOperation[];
};

export type ExplainedImage = {
  /** From the pod down, e.g. `spec.containers[0].image`. */
  readonly path: string;
  readonly original: string;
  readonly reference: {
    readonly registry: string;
    readonly repository: string;
    readonly tag: string | null;
    readonly digest: string | null;
  } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  /** `<object>#<number from 1>` of the rule that decided. */
  readonly rule: string | null;
  readonly result: string;
  readonly reason: string;
  /** At the local registry, for this namespace's login; null where that is not known or not asked. */
  readonly present: boolean | null;
  /** Which credential will serve the pull of the result, as the caller names it. */
  readonly credential: string | null;
};

export type ExplainOutcome =
  | { readonly kind: "explained"; readonly explanation: Explanation; readonly hasFindings: boolean }
  /** The value is not shaped like a pod. */
  | { readonly kind: "not-a-pod" };

/** A rule, or the reference itself, wanted something that could not be done. */
const findings: ReadonlySet<ImageOutcome> = new Set<ImageOutcome>([
  "unreadable",
  "not-a-string",
  "host-not-mappable",
  "too-long",
  "ambiguous",
  "no-pull-secret",
  "node-access-closed",
  "node-access-undecided",
]);

/**
 * Explains what admission would do to a new pod, by the code that does it.
 *
 * @param pod an object with `metadata` and `spec`; a pod template is one
 * @param ask `optedIn`: whether the webhook would be called for its namespace; `credential`: the name of the login by
 *   which kubelet would pull an image with the pod's Secrets
 * @returns `hasFindings` when something could not be parsed or could not be rewritten
 */
export function explainPod(
  pod: unknown,
  world: AdmissionWorld,
  ask: { readonly optedIn: boolean; readonly credential: (image: string) => string | null },
): ExplainOutcome {
  const reading = readPod(pod);
  if (reading === undefined) return { kind: "not-a-pod" };
  const standing: Standing = ask.optedIn
    ? standingOf(reading, world.namespace.name, world)
    : { kind: "none", reason: "not-opted-in" };
  const inspection = inspectPod(reading, { kind: "create" }, standing, world);
  const { patch, warnings } = concludePod(reading, inspection);
  const { names } = inspection.secrets;
  return {
    kind: "explained",
    explanation: {
      images: inspection.images.map((image) => explainImage(image, inspection, ask.credential)),
      imagePullSecrets: inspection.addsSecret ? [...names, pullSecretName] : names,
      warnings,
      patch,
    },
    hasFindings: inspection.images.some(({ decision }) => findings.has(decision.outcome)),
  };
}

function explainImage(
  { field, decision }: InspectedImage,
  inspection: Inspection,
  credential: (image: string) => string | null,
): ExplainedImage {
  const { reference, rule } = decision;
  const facts = { secretProblem: inspection.secrets.problem, gate: inspection.gate };
  const isText = reference !== undefined;
  return {
    path: fieldPath(field),
    original: decision.original,
    reference: isText
      ? {
          registry: reference.registry,
          repository: reference.path,
          tag: reference.tag ?? null,
          digest: reference.digest ?? null,
        }
      : null,
    error: errorOf(decision.fault ?? (decision.outcome === "not-a-string" ? notAString : undefined)),
    rule: rule?.label ?? null,
    result: decision.result,
    reason: standingReason(inspection.standing) ?? reasonFor(decision, facts),
    present: decision.present ?? null,
    credential: isText ? credential(decision.result) : null,
  };
}

const notAString: ReferenceFault = { part: "reference", offset: 0, message: "the value is not a string" };

function errorOf(fault: ReferenceFault | undefined): ExplainedImage["error"] {
  if (fault === undefined) return null;
  const { code, message } = referenceError(fault);
  return { code, message };
}

function standingReason(standing: Standing): string | undefined {
  if (standing.kind !== "none") return undefined;
  switch (standing.reason) {
    case "not-opted-in":
      return undefined;
    case "mirror-pod":
      return "it is the mirror of a static pod, which is the kubelet's";
    case "excluded-namespace":
      return "pods of this namespace are never changed";
    case "opted-out":
      return "the label slipway.dev/inject: disabled opts out";
    case "confined-account":
      return `its ServiceAccount has kubernetes.io/enforce-mountable-secrets and does not list ${pullSecretName}`;
  }
}
