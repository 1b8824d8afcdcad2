import { createPrivateKey, X509Certificate } from "node:crypto";
import { isIP, SocketAddress } from "node:net";

/** A certificate with its private key, both PEM. Never log it. */
export type CertificatePair = { readonly certificate: string; readonly key: string };

/** What a certificate is valid for, in canonical form: lower case, no port, addresses as `canonicalAddress` gives them. */
export type CertificateNames = { readonly dnsNames: readonly string[]; readonly addresses: readonly string[] };

/** What decisions need to know of a certificate; read by `readCertificate`. */
export type CertificateFacts = {
  readonly pem: string;
  /** SHA-256 of the DER form, hex, lower case. */
  readonly fingerprint: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly names: CertificateNames;
};

/** @returns the facts, or undefined when `pem` holds no readable certificate. Reads the first of several. */
export function readCertificate(pem: string): CertificateFacts | undefined {
  const certificate = parseCertificate(pem);
  if (certificate === undefined) return undefined;
  return {
    pem: certificate.toString(),
    fingerprint: fingerprintOf(certificate),
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
    names: readNames(certificate.subjectAltName ?? ""),
  };
}

/** @returns every readable certificate of a bundle, in order; what cannot be read is left out. */
export function readBundle(pem: string): readonly CertificateFacts[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map(readCertificate).filter((facts) => facts !== undefined);
}

/** Whether the key belongs to the certificate; false when either cannot be read. */
export function isPair(pair: CertificatePair): boolean {
  try {
    return parseCertificate(pair.certificate)?.checkPrivateKey(createPrivateKey(pair.key)) ?? false;
  } catch {
    // An unreadable key is the answer "no pair": the caller re-issues.
    return false;
  }
}

/**
 * Whether leaves can be issued by this authority: a CA with its key, RSA (node-forge makes no others), and self-signed,
 * since clients that trust a bundle, Node's and OpenSSL's, want a root in it. That it may sign is looked at as well.
 */
export function canSign(pair: CertificatePair): boolean {
  const certificate = parseCertificate(pair.certificate);
  if (certificate?.ca !== true || certificate.publicKey.asymmetricKeyType !== "rsa") return false;
  return isPair(pair) && isIssuedBy(pair.certificate, pair.certificate);
}

/** Whether `issuer` signed `subject`: name and signature; says nothing about validity in time. */
export function isIssuedBy(subject: string, issuer: string): boolean {
  const child = parseCertificate(subject);
  const parent = parseCertificate(issuer);
  if (child === undefined || parent === undefined) return false;
  return child.checkIssued(parent) && child.verify(parent.publicKey);
}

/** SHA-256 of the DER form, hex, lower case: as `trustedCas` of the node protocol has it. */
export function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(":", "").toLowerCase();
}

/** The canonical spelling of an IP address, so that `::1` and `0:0:0:0:0:0:0:1` compare equal. */
export function canonicalAddress(address: string): string {
  const family = isIP(address);
  if (family !== 6) return address;
  return new URL(`http://[${new SocketAddress({ address, family: "ipv6" }).address}]`).hostname.slice(1, -1);
}

/** Sorts names into DNS names and addresses, lower case, each once. */
export function certificateNames(names: readonly string[]): CertificateNames {
  const all = [
    ...new Set(names.map((name) => (isIP(name) === 0 ? name.toLowerCase() : canonicalAddress(name)))),
  ].sort();
  return { dnsNames: all.filter((name) => isIP(name) === 0), addresses: all.filter((name) => isIP(name) !== 0) };
}

export function sameNames(a: CertificateNames, b: CertificateNames): boolean {
  const key = (names: CertificateNames) => JSON.stringify(certificateNames([...names.dnsNames, ...names.addresses]));
  return key(a) === key(b);
}

function parseCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    // Node throws for whatever is no certificate; the caller treats that as absent.
    return undefined;
  }
}

function readNames(subjectAltName: string): CertificateNames {
  const entries = subjectAltName.split(", ");
  const values = (prefix: string) =>
    entries.filter((entry) => entry.startsWith(prefix)).map((entry) => entry.slice(prefix.length));
  return certificateNames([...values("DNS:"), ...values("IP Address:")]);
}
