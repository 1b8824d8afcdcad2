import { generateKeyPairSync } from "node:crypto";
import forge from "node-forge";
import type { CertificatePair } from "../../src/tls/certificate.ts";

const dayMs = 24 * 60 * 60 * 1000;

/**
 * An RSA certificate authority as other tools make them: a subject of several parts in several encodings, and a key
 * identifier that is no SHA-1 of the key. For tests only.
 *
 * @param order.issuer signs it; absent: it signs itself
 */
export function createHandMadeAuthority(order: {
  readonly nowMs: number;
  readonly lifeDays?: number;
  readonly issuer?: CertificatePair;
  readonly maySign?: boolean;
}): CertificatePair {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey);
  certificate.serialNumber = "01";
  certificate.validity.notBefore = new Date(order.nowMs - dayMs);
  certificate.validity.notAfter = new Date(order.nowMs + (order.lifeDays ?? 3650) * dayMs);
  const utf8 = forge.asn1.Type.UTF8 as unknown as forge.asn1.Class;
  const subject = [
    { name: "countryName", value: "DE" },
    { name: "organizationName", value: "Müller & Söhne", valueTagClass: utf8 },
    { name: "commonName", value: order.issuer === undefined ? "Example Root" : "Example Intermediate" },
  ];
  const { issuer } = order;
  certificate.setSubject(subject);
  certificate.setIssuer(
    issuer === undefined ? subject : forge.pki.certificateFromPem(issuer.certificate).subject.attributes,
  );
  certificate.setExtensions([
    { name: "basicConstraints", cA: true, critical: true },
    { name: "keyUsage", critical: true, digitalSignature: true, keyCertSign: order.maySign ?? true },
    { name: "subjectKeyIdentifier", value: `\x04\x04${"\x01\x02\x03\x04"}` },
  ]);
  certificate.sign(forge.pki.privateKeyFromPem(issuer?.key ?? privateKey), forge.md.sha256.create());
  return { certificate: forge.pki.certificateToPem(certificate).replaceAll("\r\n", "\n"), key: privateKey };
}
