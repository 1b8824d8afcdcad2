import type { ClusterApi } from "./api.ts";
import { isRecord } from "./narrow.ts";
import { resources } from "./resource.ts";

export type TokenVerdict =
  | {
      readonly kind: "authenticated";
      readonly username: string;
      readonly uid: string;
      readonly groups: readonly string[];
      readonly extra: Readonly<Record<string, readonly string[]>>;
      readonly audiences: readonly string[];
    }
  | { readonly kind: "refused" };

export type TokenReviewer = {
  /** Asks the API server whose token it is. @throws ApiError when no answer can be had: that is no refusal */
  review(token: string, audience: string, signal: AbortSignal): Promise<TokenVerdict>;
};

/**
 * TokenReview. A token is accepted only when the API server names our audience among those that it is good for: an
 * authenticator that knows no audiences answers without any, and such a token was meant for the API server.
 *
 * @see https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
 */
export function createTokenReviewer(api: ClusterApi): TokenReviewer {
  return {
    async review(token, audience, signal) {
      const review = { metadata: { name: "" }, spec: { token, audiences: [audience] } };
      const answer = await api.create(resources.tokenReviews, review, { retry: true, signal });
      return readVerdict(answer.status, audience);
    },
  };
}

function readVerdict(status: unknown, audience: string): TokenVerdict {
  if (!isRecord(status) || status.authenticated !== true || !isRecord(status.user)) return { kind: "refused" };
  const audiences = strings(status.audiences);
  const { username, uid, groups, extra } = status.user;
  if (!audiences.includes(audience) || typeof username !== "string" || username === "") return { kind: "refused" };
  return {
    kind: "authenticated",
    username,
    uid: typeof uid === "string" ? uid : "",
    groups: strings(groups),
    extra: Object.fromEntries(
      Object.entries(isRecord(extra) ? extra : {}).map(([key, value]) => [key, strings(value)]),
    ),
    audiences,
  };
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}
