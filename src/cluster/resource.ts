import { group, version } from "../config/names.ts";

/** One kind of object at the API: what is needed to build its URL and to apply it. */
export type Resource = {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
};

const core = (kind: string, plural: string, namespaced: boolean): Resource => ({
  group: "",
  version: "v1",
  kind,
  plural,
  namespaced,
});
const of = (groupVersion: `${string}/${string}`, kind: string, plural: string, namespaced: boolean): Resource => {
  const [groupName = "", versionName = ""] = groupVersion.split("/");
  return { group: groupName, version: versionName, kind, plural, namespaced };
};

export const resources = {
  namespaces: core("Namespace", "namespaces", false),
  nodes: core("Node", "nodes", false),
  pods: core("Pod", "pods", true),
  secrets: core("Secret", "secrets", true),
  configMaps: core("ConfigMap", "configmaps", true),
  services: core("Service", "services", true),
  serviceAccounts: core("ServiceAccount", "serviceaccounts", true),
  persistentVolumeClaims: core("PersistentVolumeClaim", "persistentvolumeclaims", true),
  persistentVolumes: core("PersistentVolume", "persistentvolumes", false),
  events: of("events.k8s.io/v1", "Event", "events", true),
  deployments: of("apps/v1", "Deployment", "deployments", true),
  ingresses: of("networking.k8s.io/v1", "Ingress", "ingresses", true),
  networkPolicies: of("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", true),
  endpointSlices: of("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", true),
  podDisruptionBudgets: of("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", true),
  storageClasses: of("storage.k8s.io/v1", "StorageClass", "storageclasses", false),
  leases: of("coordination.k8s.io/v1", "Lease", "leases", true),
  tokenReviews: of("authentication.k8s.io/v1", "TokenReview", "tokenreviews", false),
  subjectAccessReviews: of("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews", false),
  mutatingWebhookConfigurations: of(
    "admissionregistration.k8s.io/v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    false,
  ),
  localRegistries: of(`${group}/${version}`, "LocalRegistry", "localregistries", false),
  pullCredentials: of(`${group}/${version}`, "PullCredential", "pullcredentials", false),
  imageRewrites: of(`${group}/${version}`, "ImageRewrite", "imagerewrites", false),
} as const satisfies Record<string, Resource>;

export type ObjectAddress = {
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
};

/**
 * The URL path of a collection (no name), an object or a subresource. A namespaced resource without a namespace is
 * the collection over all namespaces.
 *
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
 */
export function resourcePath(resource: Resource, address: ObjectAddress = {}): string {
  const root = resource.group === "" ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const scope =
    resource.namespaced && address.namespace !== undefined
      ? `/namespaces/${encodeURIComponent(address.namespace)}`
      : "";
  const object = address.name === undefined ? "" : `/${encodeURIComponent(address.name)}`;
  const sub = address.subresource === undefined ? "" : `/${address.subresource}`;
  return `${root}${scope}/${resource.plural}${object}${sub}`;
}

export function apiVersionOf(resource: Resource): string {
  return resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
}
