import type { ClusterApi } from "./api.ts";
import { isRecord } from "./narrow.ts";
import { resources } from "./resource.ts";

export type AccessQuestion = {
  readonly user: string;
  readonly groups?: readonly string[];
  readonly uid?: string;
  readonly extra?: Readonly<Record<string, readonly string[]>>;
  readonly resourceAttributes: {
    readonly namespace?: string;
    readonly verb: string;
    readonly group?: string;
    readonly version?: string;
    readonly resource: string;
    readonly subresource?: string;
    /** An empty or absent name means all objects. */
    readonly name?: string;
  };
};

export type AccessReviewer = {
  /** @returns whether the cluster's authorizers allow it. @throws ApiError when no answer can be had */
  review(question: AccessQuestion, signal: AbortSignal): Promise<boolean>;
};

/**
 * SubjectAccessReview.
 *
 * @see https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/subject-access-review-v1/
 */
export function createAccessReviewer(api: ClusterApi): AccessReviewer {
  return {
    async review(question, signal) {
      const review = { metadata: { name: "" }, spec: question };
      const { status } = await api.create(resources.subjectAccessReviews, review, { retry: true, signal });
      return isRecord(status) && status.allowed === true && status.denied !== true;
    },
  };
}
