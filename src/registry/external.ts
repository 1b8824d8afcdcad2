import type { KubernetesObject } from "../cluster/object.ts";
import type { LocalRegistrySpec } from "../config/local-registry.ts";
import { readBundle } from "../tls/certificate.ts";
import { secretValue } from "../tls/secret-data.ts";
import type { Finding } from "./finding.ts";
import { readAdminLogin } from "./secrets.ts";

/**
 * What is missing of the Secrets that `spec.external` names. Without them nothing is read and nothing handed out, and
 * what fails then is far from the cause.
 *
 * @param found the Secrets of those names; undefined where there is none, or none is named
 */
export function decideExternal(
  external: NonNullable<LocalRegistrySpec["external"]>,
  found: { readonly login: KubernetesObject | undefined; readonly ca: KubernetesObject | undefined },
  namespace: string,
): readonly Finding[] {
  const { credentialSecretRef, caSecretRef } = external;
  const findings: Finding[] = [];
  if (credentialSecretRef !== undefined && readAdminLogin(found.login) === undefined) {
    const message = `spec.external.credentialSecretRef: there is no Secret ${namespace}/${credentialSecretRef.name} with username and password; create it, of type kubernetes.io/basic-auth`;
    findings.push({ reason: "ExternalLoginNotFound", message, blocks: true });
  }
  if (caSecretRef !== undefined && readBundle(secretValue(found.ca, "ca.crt")).length === 0) {
    const message = `spec.external.caSecretRef: there is no Secret ${namespace}/${caSecretRef.name} with a certificate in ca.crt; create it, or take the field out where the system's trust is enough`;
    findings.push({ reason: "ExternalAuthorityNotFound", message, blocks: true });
  }
  return findings;
}
