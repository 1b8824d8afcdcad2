/**
 * AdmissionReview as far as Slipway reads and writes it; Kubernetes publishes no schema of it.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#webhook-request-and-response
 * @see https://github.com/kubernetes/api/blob/master/admission/v1/types.go
 */
export type AdmissionRequest = {
  readonly uid: string;
  readonly resource: { readonly group: string; readonly version: string; readonly resource: string };
  /** "" for the object itself. */
  readonly subResource: string;
  readonly operation: string;
  /** "" for cluster-scoped objects. Pods often lack `metadata.namespace`: this one counts. */
  readonly namespace: string;
  /** "" under generateName. */
  readonly name: string;
  readonly dryRun: boolean;
  readonly object: unknown;
  readonly oldObject: unknown;
};

export type ReviewReading =
  | { readonly kind: "ok"; readonly request: AdmissionRequest }
  | {
      readonly kind: "refused";
      /** HTTP status to answer with: always 400 here. */
      readonly status: number;
      /** One stable word, for metrics. */
      readonly reason: "NotJson" | "NotAReview" | "UnsupportedVersion" | "NoRequest" | "NoUid";
      /** A sentence for the one who sent it. */
      readonly message: string;
      /** The request's uid where one could be read. */
      readonly uid: string | undefined;
    };

export const reviewApiVersion = "admission.k8s.io/v1";
const uidLengthLimit = 256;

/** Parses a request body and reads it. Never throws. */
export function parseReview(text: string): ReviewReading {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return refuse("NotJson", "the body is not JSON; send an AdmissionReview of admission.k8s.io/v1");
  }
  return readReview(body);
}

/**
 * Reads an AdmissionReview. Only v1 is understood; what is inside `object` is not looked at. Never throws.
 *
 * @param body parsed JSON, of whatever shape
 */
export function readReview(body: unknown): ReviewReading {
  if (!isRecord(body)) return refuse("NotAReview", "the body is not an object; send an AdmissionReview");
  const request = body.request;
  const uid = isRecord(request) && isUid(request.uid) ? request.uid : undefined;
  if (body.kind !== "AdmissionReview") {
    return refuse("NotAReview", `kind is ${describe(body.kind)}; send an AdmissionReview`, uid);
  }
  if (body.apiVersion !== reviewApiVersion) {
    const message = `apiVersion is ${describe(body.apiVersion)}; only ${reviewApiVersion} is understood: set admissionReviewVersions to ["v1"]`;
    return refuse("UnsupportedVersion", message, uid);
  }
  if (!isRecord(request)) return refuse("NoRequest", "the AdmissionReview has no request");
  if (uid === undefined) return refuse("NoUid", "request.uid is missing or no string, so that no answer could name it");
  return { kind: "ok", request: readRequest(request, uid) };
}

function readRequest(request: Record<string, unknown>, uid: string): AdmissionRequest {
  const resource = isRecord(request.resource) ? request.resource : {};
  return {
    uid,
    resource: { group: text(resource.group), version: text(resource.version), resource: text(resource.resource) },
    subResource: text(request.subResource),
    operation: text(request.operation),
    namespace: text(request.namespace),
    name: text(request.name),
    dryRun: request.dryRun === true,
    object: request.object,
    oldObject: request.oldObject,
  };
}

function refuse(
  reason: Extract<ReviewReading, { kind: "refused" }>["reason"],
  message: string,
  uid?: string,
): ReviewReading {
  return { kind: "refused", status: 400, reason, message, uid };
}

function describe(value: unknown): string {
  if (typeof value !== "string") return value === undefined ? "missing" : "no string";
  return JSON.stringify(value.replace(/[^\x20-\x7e]/g, "?").slice(0, 64));
}

function isUid(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= uidLengthLimit;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
