import type { LocalRegistrySpec } from "../config/local-registry.ts";
import { registryClusterHost, registryHost, registryServiceName, systemNamespace } from "../config/names.ts";
import { type CertificateNames, certificateNames } from "../tls/certificate.ts";
import { splitAddress } from "./address.ts";

/**
 * What a certificate has room for: OpenSSL, and so serve, refuses a chain of more than 100 KiB, and a host name of a
 * cloud takes 50 bytes and more.
 *
 * @see https://docs.openssl.org/master/man3/SSL_CTX_set_max_cert_list/
 */
const nodeAddressLimit = 3_000;
const nodeHostLimit = 500;

/**
 * Every name by which a client may reach the hosted registry, for its certificate: the forms of the Service's name,
 * `localhost`, 127.0.0.1, ::1, every ClusterIP, `host`, aliases, the Ingress host, `extraNames`, and node addresses
 * while a NodePort is set, at most 3,000 addresses and 500 host names of them, the first in order. Section 7 of the
 * design.
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
    ...(exposure?.nodePort === undefined ? [] : namesOfNodes(facts.nodeAddresses)),
    ...(exposure?.extraNames ?? []),
  ]);
}

function namesOfNodes(names: readonly string[]): readonly string[] {
  const { addresses, dnsNames } = certificateNames(names);
  return [...addresses.slice(0, nodeAddressLimit), ...dnsNames.slice(0, nodeHostLimit)];
}
