import { generateKeyPair, randomBytes, sign, X509Certificate } from "node:crypto";
import { promisify } from "node:util";
import forge from "node-forge";
import type { CertificateNames, CertificatePair } from "./certificate.ts";

const dayMs = 24 * 60 * 60 * 1000;
export const authorityLifeMs = 3650 * dayMs;
export const leafLifeMs = 90 * dayMs;
/** Certificates begin a little in the past: clocks of nodes differ. */
export const backdateMs = 5 * 60 * 1000;

const generateKeys = promisify(generateKeyPair);
const signAsync = promisify(sign);

/**
 * Issues a self-signed certificate authority (RSA 2048, SHA-256, 10 years). The subject carries a part of the serial,
 * so that an authority and its successor differ in name.
 */
export async function issueAuthority(order: {
  readonly commonName: string;
  readonly nowMs: number;
}): Promise<CertificatePair> {
  const keys = await newKeys();
  const certificate = blank(keys.publicKey, order.nowMs, authorityLifeMs);
  const subject = [{ name: "commonName", value: `${order.commonName} ${certificate.serialNumber.slice(0, 8)}` }];
  certificate.setSubject(subject);
  certificate.setIssuer(subject);
  certificate.setExtensions([
    { name: "basicConstraints", cA: true, critical: true },
    { name: "keyUsage", critical: true, keyCertSign: true, cRLSign: true, digitalSignature: true },
    { name: "subjectKeyIdentifier" },
  ]);
  return { certificate: await signed(certificate, keys.privateKey), key: keys.privateKey };
}

/**
 * Issues a leaf (RSA 2048, SHA-256, 90 days, never longer than its authority). Issuer and key identifier are those of
 * the authority to the byte, whoever made it: else nobody would find the one by the other.
 *
 * @param order.authority one that `canSign`
 * @param order.names may be empty for a leaf that signs tokens and serves no TLS
 */
export async function issueLeaf(order: {
  readonly authority: CertificatePair;
  readonly commonName: string;
  readonly names: CertificateNames;
  readonly nowMs: number;
}): Promise<CertificatePair> {
  const keys = await newKeys();
  const parent = forge.pki.certificateFromPem(order.authority.certificate);
  const certificate = blank(keys.publicKey, order.nowMs, leafLifeMs);
  if (certificate.validity.notAfter > parent.validity.notAfter) {
    certificate.validity.notAfter = parent.validity.notAfter;
  }
  certificate.setSubject([{ name: "commonName", value: order.commonName }]);
  const altNames = [
    ...order.names.dnsNames.map((value) => ({ type: 2, value })),
    ...order.names.addresses.map((ip) => ({ type: 7, ip })),
  ];
  certificate.setExtensions([
    { name: "basicConstraints", cA: false, critical: true },
    { name: "keyUsage", critical: true, digitalSignature: true, keyEncipherment: true },
    { name: "extKeyUsage", serverAuth: true },
    { name: "subjectKeyIdentifier" },
    { name: "authorityKeyIdentifier", keyIdentifier: keyIdentifierOf(parent) },
    ...(altNames.length === 0 ? [] : [{ name: "subjectAltName", altNames }]),
  ]);
  const issuer = subjectOf(order.authority.certificate);
  return { certificate: await signed(certificate, order.authority.key, issuer), key: keys.privateKey };
}

/** What the authority itself says, which need not be the SHA-1 that forge would make (RFC 5280, 4.2.1.1 and 4.2.1.2). */
function keyIdentifierOf(authority: forge.pki.Certificate): string {
  const said = authority.getExtension("subjectKeyIdentifier") as { readonly subjectKeyIdentifier?: string } | null;
  if (said?.subjectKeyIdentifier === undefined) return authority.generateSubjectKeyIdentifier().getBytes();
  return forge.util.hexToBytes(said.subjectKeyIdentifier);
}

/** The subject as it is encoded: forge would write some of its own reading of a name in another encoding. */
function subjectOf(pem: string): forge.asn1.Asn1 {
  const der = new X509Certificate(pem).raw.toString("binary");
  const [tbs] = forge.asn1.fromDer(der).value as forge.asn1.Asn1[];
  // version, serialNumber, signature, issuer, validity, subject (RFC 5280, 4.1)
  const subject = (tbs?.value as forge.asn1.Asn1[] | undefined)?.[5];
  if (subject === undefined) throw new TypeError("a certificate authority has no subject");
  return subject;
}

async function newKeys(): Promise<{ readonly publicKey: string; readonly privateKey: string }> {
  // Asynchronous on purpose: a synchronous RSA key blocks the event loop for 150 ms and more.
  return await generateKeys("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
}

function blank(publicKey: string, nowMs: number, lifeMs: number): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey);
  certificate.serialNumber = serialNumber();
  certificate.validity.notBefore = new Date(nowMs - backdateMs);
  certificate.validity.notAfter = new Date(nowMs + lifeMs);
  return certificate;
}

/** 16 random bytes, hex; the first byte is 0x40 to 0x7f, so the number is positive and never needs padding (RFC 5280, 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}

/**
 * What forge's `certificate.sign` does, with the signature made by node:crypto off the event loop.
 *
 * @param issuer takes the place of the certificate's own
 * @see https://github.com/digitalbazaar/forge/blob/main/lib/x509.js (cert.sign)
 */
async function signed(certificate: forge.pki.Certificate, key: string, issuer?: forge.asn1.Asn1): Promise<string> {
  const oid = forge.pki.oids.sha256WithRSAEncryption;
  if (oid === undefined) throw new TypeError("node-forge does not know sha256WithRSAEncryption");
  // @types/node-forge leaves out what the library itself uses to sign.
  const { getTBSCertificate } = forge.pki as unknown as {
    getTBSCertificate(certificate: forge.pki.Certificate): forge.asn1.Asn1;
  };
  const open = certificate as forge.pki.Certificate & { signatureOid: string; tbsCertificate: forge.asn1.Asn1 };
  open.signatureOid = oid;
  certificate.siginfo.algorithmOid = oid;
  open.tbsCertificate = getTBSCertificate(certificate);
  // version, serialNumber, signature, issuer
  if (issuer !== undefined) (open.tbsCertificate.value as forge.asn1.Asn1[])[3] = issuer;
  const der = Buffer.from(forge.asn1.toDer(open.tbsCertificate).getBytes(), "binary");
  certificate.signature = (await signAsync("sha256", der, key)).toString("binary");
  return forge.pki.certificateToPem(certificate).replaceAll("\r\n", "\n");
}
