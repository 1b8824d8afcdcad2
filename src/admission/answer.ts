import type { Decision } from "./decision.ts";
import { reviewApiVersion } from "./review.ts";

/**
 * The AdmissionReview that goes back. `patch` and `patchType` come both or not at all, else the API server refuses it.
 *
 * @see https://github.com/kubernetes/apiserver/blob/master/pkg/admission/plugin/webhook/request/admissionreview.go
 */
export type AdmissionAnswer = {
  readonly apiVersion: typeof reviewApiVersion;
  readonly kind: "AdmissionReview";
  readonly response: {
    readonly uid: string;
    readonly allowed: true;
    readonly patchType?: "JSONPatch";
    /** The JSON Patch, base64. */
    readonly patch?: string;
    readonly warnings?: readonly string[];
    readonly auditAnnotations?: Readonly<Record<string, string>>;
  };
};

/** Builds the answer to the request with that uid. A decision without operations carries no patch. */
export function buildAnswer(uid: string, decision: Decision): AdmissionAnswer {
  const patch = decision.kind === "patched" ? decision.patch : [];
  return {
    apiVersion: reviewApiVersion,
    kind: "AdmissionReview",
    response: {
      uid,
      allowed: true,
      ...(patch.length === 0
        ? {}
        : { patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") }),
      ...(decision.warnings.length === 0 ? {} : { warnings: decision.warnings }),
      ...(Object.keys(decision.audit).length === 0 ? {} : { auditAnnotations: decision.audit }),
    },
  };
}

/** The answer when something unexpected happened here: the pod goes on as it is. */
export function buildFailOpenAnswer(uid: string, warning: string): AdmissionAnswer {
  return {
    apiVersion: reviewApiVersion,
    kind: "AdmissionReview",
    response: { uid, allowed: true, warnings: [warning] },
  };
}
