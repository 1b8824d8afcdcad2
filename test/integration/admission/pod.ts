import { resources } from "../../../src/cluster/resource.ts";
import type { AdmissionEnvironment } from "./environment.ts";

type Container = { readonly name: string; readonly image: string };

/** A pod as the API server answers it, as far as these tests look at it. */
export type Pod = {
  readonly metadata: {
    readonly name: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly resourceVersion: string;
    readonly generation?: number;
  };
  readonly spec: {
    readonly containers: readonly Container[];
    readonly initContainers?: readonly Container[];
    readonly ephemeralContainers?: readonly Container[];
    readonly volumes?: readonly { readonly name: string; readonly image?: { readonly reference: string } }[];
    readonly imagePullSecrets?: readonly { readonly name: string }[];
  };
};

/** @param metadata beside the namespace; the name is `a` unless given */
export async function createPod(
  { api, signal }: AdmissionEnvironment,
  namespace: string,
  spec: unknown,
  metadata: { readonly [field: string]: unknown } = {},
): Promise<Pod> {
  const object = { metadata: { name: "a", namespace, ...metadata }, spec };
  return (await api.create(resources.pods, object, { signal })) as unknown as Pod;
}

export async function getPod({ api, signal }: AdmissionEnvironment, namespace: string, name = "a"): Promise<Pod> {
  return (await api.get(resources.pods, { namespace, name }, signal)) as unknown as Pod;
}

/** Of init containers, containers, ephemeral containers and image volumes, in this order. */
export function imagesOf({ spec }: Pod): readonly string[] {
  const containers = [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])];
  const volumes = (spec.volumes ?? []).flatMap(({ image }) => image?.reference ?? []);
  return [...containers.map(({ image }) => image), ...volumes];
}

export function pullSecretsOf({ spec }: Pod): readonly string[] {
  return (spec.imagePullSecrets ?? []).map(({ name }) => name);
}
