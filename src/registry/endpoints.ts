import type { KubernetesObject } from "../cluster/object.ts";
import { gatewayPort, registryServiceName } from "../config/names.ts";
import { joinAddress } from "./address.ts";

/** The label by which EndpointSlices name their Service. */
const serviceNameLabel = "kubernetes.io/service-name";

/**
 * `host:port` of each gateway pod by the EndpointSlices of Service `registry`, sorted. Pods that are not ready count:
 * they run, answer the stream and accept logins soon. Pods that are terminating do not.
 *
 * @see https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
 */
export function gatewayEndpoints(slices: readonly KubernetesObject[]): readonly string[] {
  const ours = slices.filter((slice) => slice.metadata.labels?.[serviceNameLabel] === registryServiceName);
  const addresses = ours.flatMap((slice) => listOf(slice.endpoints)).flatMap(addressesOf);
  return [...new Set(addresses.map((address) => joinAddress(address, gatewayPort)))].sort();
}

function addressesOf(endpoint: Readonly<Record<string, unknown>>): readonly string[] {
  const { conditions, addresses } = endpoint;
  if ((conditions as { terminating?: unknown } | undefined)?.terminating === true) return [];
  return Array.isArray(addresses) ? addresses.filter((address) => typeof address === "string") : [];
}

function listOf(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value : [];
}
