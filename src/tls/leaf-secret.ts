import type { KubernetesObject } from "../cluster/object.ts";
import { encode, isIntact } from "./authority-secret.ts";
import {
  type CertificateFacts,
  type CertificatePair,
  isIssuedBy,
  isPair,
  readBundle,
  readCertificate,
} from "./certificate.ts";
import { secretValue } from "./secret-data.ts";

/** The Secret of a leaf (`tls.crt`, `tls.key`, `ca.crt`), as far as it could be read. */
export type ObservedLeaf = {
  readonly secretName: string;
  readonly pair: CertificatePair | undefined;
  /** Of `tls.crt`, when it has its key beside it. */
  readonly facts: CertificateFacts | undefined;
  /** The CA that signed it; undefined when none of the known ones did. */
  readonly issuer: CertificateFacts | undefined;
  /** `ca.crt` as it stands. */
  readonly bundle: string;
  readonly intact: boolean;
};

/** Reads the Secret of a leaf and finds its issuer among `authorities`. */
export function readLeafSecret(
  secretName: string,
  secret: KubernetesObject | undefined,
  authorities: readonly CertificateFacts[],
): ObservedLeaf {
  const pair = { certificate: secretValue(secret, "tls.crt"), key: secretValue(secret, "tls.key") };
  const facts = isPair(pair) ? readCertificate(pair.certificate) : undefined;
  return {
    secretName,
    pair: facts === undefined ? undefined : pair,
    facts,
    issuer: facts && authorities.find((authority) => isIssuedBy(facts.pem, authority.pem)),
    bundle: secretValue(secret, "ca.crt"),
    intact: isIntact(secret),
  };
}

/** The CAs beside a leaf: what is left to find its issuer when the Secret of the CA is gone. */
export function bundleBesideLeaf(secret: KubernetesObject | undefined): readonly CertificateFacts[] {
  return readBundle(secretValue(secret, "ca.crt"));
}

export function leafSecret(pair: CertificatePair, bundle: string): Pick<KubernetesObject, "type" | "data"> {
  return {
    type: "Opaque",
    data: encode({ "tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": bundle }),
  };
}
