import type { KubernetesObject } from "../cluster/object.ts";
import { type Resource, resources } from "../cluster/resource.ts";
import type { LocalRegistrySpec } from "../config/local-registry.ts";
import { managedByLabel, managedByValue, registryServiceName } from "../config/names.ts";
import { splitAddress } from "./address.ts";
import { selectorLabels } from "./pod-template.ts";

export type ExposureFacts = { readonly namespace: string };

const servicePort = 443;

/**
 * Service `registry`: 443, and every further port that `host` or an alias names, all to the gateway.
 * With a NodePort the API server gives the further ports one each, too; they lead to the same gateway.
 */
export function registryService(spec: LocalRegistrySpec, facts: ExposureFacts): KubernetesObject {
  const nodePort = spec.exposure?.nodePort;
  const further = furtherPorts(spec).map((port) => ({
    name: `port-${port}`,
    port,
    protocol: "TCP",
    targetPort: "registry",
  }));
  return {
    metadata: {
      name: registryServiceName,
      namespace: facts.namespace,
      labels: { [managedByLabel]: managedByValue },
      // Traefik reads it at the Service; other controllers at the Ingress.
      annotations: { "traefik.ingress.kubernetes.io/service.serversscheme": "https" },
    },
    spec: {
      type: nodePort === undefined ? "ClusterIP" : "NodePort",
      ipFamilyPolicy: "PreferDualStack",
      selector: selectorLabels,
      ports: [
        {
          name: "https",
          port: servicePort,
          protocol: "TCP",
          targetPort: "registry",
          ...(nodePort === undefined ? {} : { nodePort }),
        },
        ...further,
      ],
    },
  };
}

/** Ports that `host` or an alias names, 443 left out; sorted. */
export function furtherPorts(spec: LocalRegistrySpec): readonly number[] {
  const ports = [spec.host ?? [], spec.aliases ?? []].flat().map((name) => splitAddress(name).port);
  const named = ports.filter((port): port is number => port !== undefined && port !== servicePort);
  return [...new Set(named)].sort((left, right) => left - right);
}

/** The Ingress, when one is asked for: TLS ends at the controller and begins again towards the gateway. */
export function exposureObjects(
  spec: LocalRegistrySpec,
  facts: ExposureFacts,
): readonly { readonly resource: Resource; readonly object: KubernetesObject }[] {
  const ingress = spec.exposure?.ingress;
  if (ingress === undefined) return [];
  const object: KubernetesObject = {
    metadata: {
      name: registryServiceName,
      namespace: facts.namespace,
      labels: { [managedByLabel]: managedByValue },
      annotations: ingressAnnotations,
    },
    spec: {
      ...(ingress.className === undefined ? {} : { ingressClassName: ingress.className }),
      tls: [
        {
          hosts: [ingress.host],
          ...(ingress.tlsSecretName === undefined ? {} : { secretName: ingress.tlsSecretName }),
        },
      ],
      rules: [
        {
          host: ingress.host,
          http: {
            paths: [
              {
                path: "/",
                pathType: "Prefix",
                backend: { service: { name: registryServiceName, port: { number: servicePort } } },
              },
            ],
          },
        },
      ],
    },
  };
  return [{ resource: resources.ingresses, object }];
}

/** TLS to the backend, layers of any size, streamed instead of collected. */
const ingressAnnotations = {
  "nginx.ingress.kubernetes.io/backend-protocol": "HTTPS",
  "nginx.ingress.kubernetes.io/proxy-body-size": "0",
  "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
  "nginx.ingress.kubernetes.io/proxy-buffering": "off",
  "nginx.ingress.kubernetes.io/proxy-read-timeout": "900",
  "nginx.ingress.kubernetes.io/proxy-send-timeout": "900",
  "haproxy.org/server-ssl": "true",
};
