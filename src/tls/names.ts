import { serveServiceName, systemNamespace } from "../config/names.ts";
import { type CertificateNames, certificateNames } from "./certificate.ts";

/**
 * The names in serve's certificate; the registry's are in src/registry/certificate-names.ts.
 *
 * @param extraNames host names and addresses, e.g. where `slipway dev` listens
 * @see https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#service-reference
 */
export function serveCertificateNames(extraNames: readonly string[] = []): CertificateNames {
  // `<service>.<namespace>.svc` is the server name that the API server checks.
  const service = `${serveServiceName}.${systemNamespace}.svc`;
  return certificateNames([
    serveServiceName,
    `${serveServiceName}.${systemNamespace}`,
    service,
    `${service}.cluster.local`,
    "localhost",
    "127.0.0.1",
    "::1",
    ...extraNames,
  ]);
}
