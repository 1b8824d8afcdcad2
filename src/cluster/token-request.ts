import type { ClusterApi } from "./api.ts";
import { errorOfUnreadable } from "./failure.ts";
import { isRecord } from "./narrow.ts";
import { resources } from "./resource.ts";

export type RequestedToken = {
  readonly token: string;
  /** RFC 3339; may be earlier or later than asked for. */
  readonly expirationTimestamp: string;
};

export type TokenRequester = {
  /** @throws ApiError, 404 when there is no such ServiceAccount */
  request(
    account: { readonly namespace: string; readonly name: string },
    options: {
      readonly audiences: readonly string[];
      /** At least 600; an hour unless given. */
      readonly expirationSeconds?: number;
      readonly signal: AbortSignal;
    },
  ): Promise<RequestedToken>;
};

/**
 * A token for a ServiceAccount, as kubelet projects it into pods.
 *
 * @see https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/
 */
export function createTokenRequester(api: ClusterApi): TokenRequester {
  return {
    async request(account, { audiences, expirationSeconds = 3_600, signal }) {
      const request = {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        metadata: { ...account },
        spec: { audiences, expirationSeconds },
      };
      const subresource = { name: account.name, subresource: "token" };
      const { status } = await api.create(resources.serviceAccounts, request, { subresource, signal });
      if (!isRecord(status) || typeof status.token !== "string" || typeof status.expirationTimestamp !== "string") {
        throw errorOfUnreadable(`TokenRequest for ${account.namespace}/${account.name}`);
      }
      return { token: status.token, expirationTimestamp: status.expirationTimestamp };
    },
  };
}
