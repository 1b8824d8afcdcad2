import type { ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { resources } from "../cluster/resource.ts";
import { managedByLabel, managedByValue } from "../config/names.ts";

export type CertificateWriter = {
  /**
   * Writes a certificate Secret over `existing`, which is what the decision was made on: another's change in between
   * is a conflict and nothing is written; so is a Secret that is there where none was seen, since of two leaders at
   * once only one may make a CA. A Secret of another type is deleted first, since `type` cannot change.
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
  const remove = async (secret: KubernetesObject, signal: AbortSignal): Promise<void> => {
    const { name, uid } = secret.metadata;
    const preconditions = uid === undefined ? {} : { preconditions: { uid } };
    await api.delete(resources.secrets, { namespace, name }, { ...preconditions, signal });
  };
  return {
    async write(name, existing, content, signal) {
      const metadata = { name, namespace, labels: { [managedByLabel]: managedByValue } };
      const isKept = existing?.type === content.type;
      if (existing !== undefined && !isKept) await remove(existing, signal);
      // An apply would go over what another leader has made since.
      if (existing === undefined || !isKept) return api.create(resources.secrets, { metadata, ...content }, { signal });
      const { uid, resourceVersion } = existing.metadata;
      const seen = {
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      };
      return api.apply(resources.secrets, { metadata: { ...metadata, ...seen }, ...content }, { force: true, signal });
    },
  };
}
