import { createHash } from "node:crypto";
import type { ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { type Resource, resources } from "../cluster/resource.ts";
import { unlessMissing } from "../cluster/unless-missing.ts";
import type { LocalRegistrySpec } from "../config/local-registry.ts";
import {
  registryAdminSecretName,
  registryClaimName,
  registryHttpSecretName,
  registryKeysSecretName,
  registryServiceName,
} from "../config/names.ts";
import type { StorageClassFact } from "./claim.ts";
import { selectorLabels } from "./pod-template.ts";
import { type RegistrySecrets, textOf } from "./secrets.ts";
import type { RolloutReport } from "./status.ts";

/** The object, or undefined for 404. @throws ApiError for everything else */
export async function readObject(
  api: Pick<ClusterApi, "get">,
  resource: Resource,
  address: { readonly namespace?: string; readonly name: string },
  signal: AbortSignal,
): Promise<KubernetesObject | undefined> {
  return unlessMissing(api.get(resource, address, signal));
}

export async function readSecrets(api: ClusterApi, namespace: string, signal: AbortSignal): Promise<RegistrySecrets> {
  const read = (name: string) => readObject(api, resources.secrets, { namespace, name }, signal);
  return {
    admin: await read(registryAdminSecretName),
    keys: await read(registryKeysSecretName),
    http: await read(registryHttpSecretName),
  };
}

export type StorageFacts = {
  readonly storageClasses: readonly StorageClassFact[];
  readonly claim: KubernetesObject | undefined;
  readonly volumeTopology: Readonly<Record<string, string>>;
  readonly s3Credentials: { readonly hasCa: boolean } | undefined;
  /** Of the values that containers read by environment variables. */
  readonly secretsHash: string;
};

/** What the storage of the spec comes to in this cluster. */
export async function readStorage(
  needs: { readonly api: ClusterApi; readonly namespace: string; readonly http: KubernetesObject | undefined },
  spec: LocalRegistrySpec,
  signal: AbortSignal,
): Promise<StorageFacts> {
  const { api, namespace, http } = needs;
  const { s3, ephemeral, persistentVolumeClaim } = spec.storage ?? {};
  const s3Secret =
    s3 === undefined
      ? undefined
      : await readObject(api, resources.secrets, { namespace, name: s3.credentialsSecretRef.name }, signal);
  const secretsHash = createHash("sha256")
    .update(JSON.stringify([http?.data, s3Secret?.data]))
    .digest("hex");
  const s3Credentials = usableS3(s3Secret);
  if (s3 !== undefined || ephemeral !== undefined) {
    return { storageClasses: [], claim: undefined, volumeTopology: {}, s3Credentials, secretsHash };
  }
  const name = persistentVolumeClaim?.existingClaim ?? registryClaimName;
  const claim = await readObject(api, resources.persistentVolumeClaims, { namespace, name }, signal);
  const classes = await api.list(resources.storageClasses, {}, signal);
  const volumeTopology = await readTopology(api, claim, signal);
  return { storageClasses: classes.map(storageClassFact), claim, volumeTopology, s3Credentials, secretsHash };
}

function usableS3(secret: KubernetesObject | undefined): { readonly hasCa: boolean } | undefined {
  const isGiven = (key: string) => textOf(secret, key) !== undefined;
  return isGiven("accessKey") && isGiven("secretKey") ? { hasCa: isGiven("ca.crt") } : undefined;
}

/** @see https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass */
function storageClassFact(object: KubernetesObject): StorageClassFact {
  return {
    name: object.metadata.name,
    isDefault: object.metadata.annotations?.["storageclass.kubernetes.io/is-default-class"] === "true",
    allowsExpansion: object.allowVolumeExpansion === true,
  };
}

async function readTopology(
  api: ClusterApi,
  claim: KubernetesObject | undefined,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  const name = (claim?.spec as { volumeName?: unknown } | undefined)?.volumeName;
  if (typeof name !== "string" || name === "") return {};
  return volumeTopology(await readObject(api, resources.persistentVolumes, { name }, signal));
}

/**
 * The labels that every node with access to the volume has: of its required node affinity, when that is one term of
 * requirements with one value each, as of local volumes.
 *
 * @see https://kubernetes.io/docs/concepts/storage/persistent-volumes/#node-affinity
 */
export function volumeTopology(volume: KubernetesObject | undefined): Readonly<Record<string, string>> {
  const affinity = (volume?.spec as { nodeAffinity?: { required?: { nodeSelectorTerms?: unknown } } } | undefined)
    ?.nodeAffinity?.required?.nodeSelectorTerms;
  const [term, ...others] = Array.isArray(affinity) ? affinity : [];
  if (term === undefined || others.length > 0) return {};
  const requirements: unknown[] = Array.isArray(term.matchExpressions) ? term.matchExpressions : [];
  const pairs = requirements.flatMap((requirement) => {
    const { key, operator, values } = (requirement ?? {}) as Record<string, unknown>;
    const single = operator === "In" && Array.isArray(values) && values.length === 1 ? String(values[0]) : undefined;
    return typeof key === "string" && single !== undefined ? [[key, single] as const] : [];
  });
  return Object.fromEntries(pairs);
}

/** Deployment `registry`, or undefined where it does not exist. */
export function readDeployment(
  api: Pick<ClusterApi, "get">,
  namespace: string,
  signal: AbortSignal,
): Promise<KubernetesObject | undefined> {
  return readObject(api, resources.deployments, { namespace, name: registryServiceName }, signal);
}

/** How far the Deployment is; undefined where it does not exist. */
export async function readRollout(
  api: Pick<ClusterApi, "get" | "list">,
  namespace: string,
  signal: AbortSignal,
): Promise<RolloutReport | undefined> {
  const deployment = await readDeployment(api, namespace, signal);
  if (deployment === undefined) return undefined;
  const spec = (deployment.spec ?? {}) as { replicas?: number };
  const status = (deployment.status ?? {}) as DeploymentStatus;
  const wanted = spec.replicas ?? 1;
  const available = status.availableReplicas ?? 0;
  const updated = status.updatedReplicas ?? 0;
  const isSeen = status.observedGeneration === deployment.metadata.generation;
  const isCurrent = isSeen && updated >= wanted && (status.replicas ?? 0) <= updated;
  const isDone = isCurrent && available >= wanted;
  const waiting = isDone ? [] : [...refusedPods(status), ...(await readWaiting(api, namespace, signal))];
  return { available, wanted, isCurrent, generation: deployment.metadata.generation, waiting };
}

type DeploymentStatus = {
  readonly observedGeneration?: number;
  readonly replicas?: number;
  readonly updatedReplicas?: number;
  readonly availableReplicas?: number;
  readonly conditions?: readonly PodCondition[];
};

/** Why there is not even a pod: a quota, a policy, an account or a priority class that is missing. */
function refusedPods({ conditions = [] }: DeploymentStatus): readonly string[] {
  return conditions
    .filter((entry) => entry.type === "ReplicaFailure" && entry.status === "True")
    .map((entry) => entry.message ?? "no pod could be made");
}

async function readWaiting(
  api: Pick<ClusterApi, "list">,
  namespace: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const labelSelector = Object.entries(selectorLabels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
  const pods = await api.list(resources.pods, { namespace, labelSelector }, signal);
  return [...new Set(pods.flatMap(podWaits))].slice(0, 5);
}

type ContainerStatus = { readonly name?: string; readonly state?: { readonly waiting?: { readonly reason?: string } } };
type PodCondition = { readonly type?: string; readonly status?: string; readonly message?: string };

function podWaits(pod: KubernetesObject): readonly string[] {
  const status = (pod.status ?? {}) as {
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly conditions?: readonly PodCondition[];
  };
  const unscheduled = (status.conditions ?? [])
    .filter((entry) => entry.type === "PodScheduled" && entry.status === "False")
    .map((entry) => entry.message ?? "not scheduled");
  const waiting = (status.containerStatuses ?? [])
    .filter((container) => container.state?.waiting !== undefined)
    .map((container) => `${container.name}: ${container.state?.waiting?.reason ?? "waiting"}`);
  return [...unscheduled, ...waiting];
}
