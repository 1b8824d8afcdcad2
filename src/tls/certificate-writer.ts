import type { ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { resources } from "../cluster/resource.ts";
import { managedByLabel, managedByValue } from "../config/names.ts";

export type CertificateWriter = {
  /**
   * Writes a certificate Secret over `existing`, which is what the decision was made on: another's change in between
   * is a conflict and nothing is written. A Secret of another type is deleted first, since `type` cannot change.
   *
   * @throws ApiError; 409 means: look again
   */
  write(
    name: string,
    existing: KubernetesObject | undefined,
    content: Pick<KubernetesObject, "type" | "data">,
    signal: AbortSignal,
  ): Promise<KubernetesObject>;
};

/** Writes the certificate Secrets of `namespace`, which is our own: their names belong to us, whoever made them. */
export function createCertificateWriter(needs: {
  readonly api: ClusterApi;
  readonly namespace: string;
}): CertificateWriter {
  const { api, namespace } = needs;
  return {
    async write(name, existing, content, signal) {
      const keep = existing !== undefined && existing.type === content.type ? existing : undefined;
      if (existing !== undefined && keep === undefined) {
        const { uid } = existing.metadata;
        const preconditions = uid === undefined ? {} : { preconditions: { uid } };
        await api.delete(resources.secrets, { namespace, name }, { ...preconditions, signal });
      }
      const { uid, resourceVersion } = keep?.metadata ?? {};
      const metadata = {
        name,
        namespace,
        labels: { [managedByLabel]: managedByValue },
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      };
      return await api.apply(resources.secrets, { metadata, ...content }, { force: true, signal });
    },
  };
}
