import type { KubernetesObject } from "../cluster/object.ts";
import type { LocalRegistrySpec, NodeAccessMode } from "../config/local-registry.ts";
import { hostingConfigMapName, managedByLabel, managedByValue, registryHost } from "../config/names.ts";
import type { RegistryNames } from "../config/registry-names.ts";
import type { NodeView } from "../node/node-view.ts";
import { slipwayVersion } from "../version.ts";
import { joinAddress } from "./address.ts";

export type RegistryEndpoints = {
  /** As seen from outside the cluster. */
  readonly host: string;
  /** As the container runtime of the nodes reaches it; absent until a node access mode is chosen, and with `None`. */
  readonly hostFromContainerRuntime?: string;
  readonly hostFromClusterNetwork: string;
};

export type EndpointFacts = {
  readonly names: RegistryNames;
  readonly mode: NodeAccessMode | null;
  /** An address of a node, for the NodePort; undefined when no node is known. */
  readonly nodeAddress: string | undefined;
};

/** What `kubectl port-forward` is told in the help, so that `host` is true once somebody has done it. */
export const forwardedPort = 5443;

/**
 * The address by which a NodePort is told: of the first node by name that is Ready, else of the first; so every replica
 * of serve tells the same, and no dead node as long as another one lives.
 */
export function addressOfNodes(
  nodes: readonly Pick<NodeView, "name" | "readySinceMs" | "addresses">[],
): string | undefined {
  const named = nodes.filter((node) => node.addresses.length > 0).sort((a, b) => (a.name < b.name ? -1 : 1));
  const chosen = named.find((node) => node.readySinceMs !== undefined) ?? named[0];
  return chosen?.addresses[0];
}

/** Where the registry is reached from, as KEP-1755 names the places. */
export function registryEndpoints(spec: LocalRegistrySpec, facts: EndpointFacts): RegistryEndpoints {
  const fromRuntime = hostFromRuntime(facts);
  return {
    host: hostFromOutside(spec, facts),
    ...(fromRuntime === undefined ? {} : { hostFromContainerRuntime: fromRuntime }),
    hostFromClusterNetwork: spec.external === undefined ? registryHost : new URL(spec.external.url).host,
  };
}

function hostFromOutside(spec: LocalRegistrySpec, facts: EndpointFacts): string {
  const { exposure, external } = spec;
  if (external !== undefined) return new URL(external.url).host;
  if (exposure?.ingress !== undefined) return exposure.ingress.host;
  if (exposure?.nodePort !== undefined && facts.nodeAddress !== undefined) {
    return joinAddress(facts.nodeAddress, exposure.nodePort);
  }
  return `localhost:${forwardedPort}`;
}

function hostFromRuntime({ mode, names }: EndpointFacts): string | undefined {
  if (mode === null || mode === "None") return undefined;
  return mode === "LoopbackProxy" ? names.loopback : names.host;
}

/**
 * ConfigMap `kube-public/local-registry-hosting`.
 *
 * @param ca PEM of the CAs by which clients trust the registry; null where the system's trust is enough
 * @see https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry
 */
export function hostingDocument(endpoints: RegistryEndpoints, ca: string | null): KubernetesObject {
  const entries: readonly (readonly [string, string | undefined])[] = [
    ["host", endpoints.host],
    ["hostFromContainerRuntime", endpoints.hostFromContainerRuntime],
    ["hostFromClusterNetwork", endpoints.hostFromClusterNetwork],
    ["help", helpText(endpoints, ca)],
  ];
  const lines = entries.flatMap(([field, value]) =>
    value === undefined ? [] : [`${field}: ${JSON.stringify(value)}`],
  );
  return {
    metadata: { name: hostingConfigMapName, namespace: "kube-public", labels: { [managedByLabel]: managedByValue } },
    // JSON strings are YAML strings.
    data: { "localRegistryHosting.v1": `${lines.join("\n")}\n` },
  };
}

/** What people are to read when a push fails, as it was when this version was made. */
const documentation = `https://github.com/slipway-dev/slipway/blob/v${slipwayVersion}/docs/registry.md`;

function helpText(endpoints: RegistryEndpoints, ca: string | null): string {
  const forward = endpoints.host.startsWith("localhost:")
    ? [
        `From outside the cluster first: kubectl --namespace slipway-system port-forward service/registry ${forwardedPort}:443`,
      ]
    : [];
  return [
    documentation,
    "slipway images push IMAGE pushes without any configuration; slipway login prepares docker.",
    ...forward,
    ...(ca === null ? [] : ["The registry's certificate is signed by:", ca.trim()]),
  ].join("\n");
}

/** Whether the ConfigMap that is there may be written: ours, or none. */
export function isOurDocument(found: KubernetesObject | undefined): boolean {
  return found === undefined || found.metadata.labels?.[managedByLabel] === managedByValue;
}
