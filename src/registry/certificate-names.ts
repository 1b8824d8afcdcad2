import type { LocalRegistrySpec } from "../config/local-registry.ts";
import { registryClusterHost, registryHost, registryServiceName, systemNamespace } from "../config/names.ts";
import { type CertificateNames, certificateNames } from "../tls/certificate.ts";
import { splitAddress } from "./address.ts";

/**
 * Every name by which a client may reach the hosted registry, for its certificate: the forms of the Service's name,
 * `localhost`, 127.0.0.1, ::1, every ClusterIP, `host`, aliases, the Ingress host, `extraNames`, and node addresses
 * while a NodePort is set. Section 7 of the design.
 *
 * @param facts.clusterIPs `spec.clusterIPs` of Service `registry`; empty while it does not exist
 * @param facts.nodeAddresses `status.addresses[].address` of all nodes: addresses and host names
 */
export function hostedCertificateNames(
  spec: LocalRegistrySpec,
  facts: { readonly clusterIPs: readonly string[]; readonly nodeAddresses: readonly string[] },
): CertificateNames {
  const { exposure } = spec;
  return certificateNames([
    registryServiceName,
    `${registryServiceName}.${systemNamespace}`,
    registryHost,
    registryClusterHost,
    "localhost",
    "127.0.0.1",
    "::1",
    ...facts.clusterIPs.filter((address) => address !== "" && address !== "None"),
    ...[spec.host ?? [], spec.aliases ?? []].flat().map((name) => splitAddress(name).host),
    ...(exposure?.ingress === undefined ? [] : [exposure.ingress.host]),
    ...(exposure?.nodePort === undefined ? [] : facts.nodeAddresses),
    ...(exposure?.extraNames ?? []),
  ]);
}
