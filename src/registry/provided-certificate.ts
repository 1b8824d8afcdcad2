import type { KubernetesObject } from "../cluster/object.ts";
import type { LocalRegistrySpec } from "../config/local-registry.ts";
import { managedByLabel, managedByValue, registryProvidedCertificateSecretName } from "../config/names.ts";
import { isPair, readCertificate } from "../tls/certificate.ts";
import { secretValue } from "../tls/secret-data.ts";
import type { Finding } from "./finding.ts";

export type ProvidedCertificateDecision = {
  /** `keep`: the copy, if there is one, stays as it is. */
  readonly copy:
    | { readonly kind: "apply"; readonly secret: KubernetesObject }
    | { readonly kind: "keep" }
    | { readonly kind: "remove" };
  readonly findings: readonly Finding[];
};

const field = "spec.certificate.secretName";

/**
 * What becomes of the certificate that the user provides. The gateway may read only Secrets whose names are known
 * before, so the leader copies it into one of them. What cannot be served never replaces what is served: a Secret that
 * is missing or damaged keeps the copy, with a finding; only taking the field out removes it.
 *
 * @param secret the Secret that the spec names, as found
 */
export function decideProvidedCertificate(
  spec: LocalRegistrySpec,
  secret: KubernetesObject | undefined,
  facts: { readonly namespace: string; readonly nowMs: number },
): ProvidedCertificateDecision {
  const name = spec.certificate?.secretName;
  if (name === undefined) return { copy: { kind: "remove" }, findings: [] };
  const address = `Secret ${facts.namespace}/${name}`;
  if (secret === undefined) {
    const message = `${field}: there is no ${address}; create it, of type kubernetes.io/tls`;
    return { copy: { kind: "keep" }, findings: [warning("CertificateNotFound", message)] };
  }
  const pair = { certificate: secretValue(secret, "tls.crt"), key: secretValue(secret, "tls.key") };
  const read = readCertificate(pair.certificate);
  if (read === undefined || !isPair(pair)) {
    const message = `${field}: tls.crt and tls.key of ${address} are no certificate and its key; the last good one stays`;
    return { copy: { kind: "keep" }, findings: [warning("CertificateInvalid", message)] };
  }
  if (read.names.dnsNames.length === 0) {
    const message = `${field}: the certificate in ${address} names no DNS name, so no client can be given it; the last good one stays`;
    return { copy: { kind: "keep" }, findings: [warning("CertificateWithoutName", message)] };
  }
  const ends = new Date(read.notAfterMs).toISOString();
  const message = `${field}: the certificate in ${address} ended at ${ends}; renew it`;
  return {
    copy: { kind: "apply", secret: copyOf(pair, facts.namespace) },
    findings: read.notAfterMs > facts.nowMs ? [] : [warning("CertificateExpired", message)],
  };
}

function copyOf(pair: { readonly certificate: string; readonly key: string }, namespace: string): KubernetesObject {
  const encode = (text: string) => Buffer.from(text).toString("base64");
  return {
    metadata: {
      name: registryProvidedCertificateSecretName,
      namespace,
      labels: { [managedByLabel]: managedByValue },
    },
    type: "Opaque",
    data: { "tls.crt": encode(pair.certificate), "tls.key": encode(pair.key) },
  };
}

function warning(reason: string, message: string): Finding {
  return { reason, message, blocks: false };
}
