import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { type Resource, resources } from "../cluster/resource.ts";
import { managedByLabel, managedByValue, registryConfigName, registryServiceName } from "../config/names.ts";
import type { Finding } from "./finding.ts";
import type { DesiredObject } from "./hosting.ts";
import { readObject } from "./observe.ts";

/** Writes the hosted registry's objects; never touches one that does not carry our marker. */
export type ObjectWriter = {
  /** @returns what stood in the way: objects of others, and answers of the API server that name a field */
  apply(objects: readonly DesiredObject[], signal: AbortSignal): Promise<readonly Finding[]>;
  /** Removes those of our objects that are not among `wanted`; never the claim. */
  prune(wanted: readonly DesiredObject[], signal: AbortSignal): Promise<void>;
  /** Removes one object of ours. @returns false when it is not there or not ours */
  remove(resource: Resource, address: ObjectName, signal: AbortSignal): Promise<boolean>;
  /** POST: the first writer wins. @returns false when it existed already */
  create(resource: Resource, object: KubernetesObject, signal: AbortSignal): Promise<boolean>;
};

export type ObjectName = { readonly namespace: string; readonly name: string };

/** Everything that decideHosting may have made once, and that a change of the spec may make superfluous. */
const prunable: readonly { readonly resource: Resource; readonly name: string }[] = [
  { resource: resources.ingresses, name: registryServiceName },
  { resource: resources.podDisruptionBudgets, name: registryServiceName },
  { resource: resources.deployments, name: registryServiceName },
  { resource: resources.services, name: registryServiceName },
  { resource: resources.configMaps, name: registryConfigName },
];

export function createObjectWriter(needs: { readonly api: ClusterApi; readonly namespace: string }): ObjectWriter {
  const { api, namespace } = needs;

  async function applyOne({ resource, object }: DesiredObject, signal: AbortSignal): Promise<Finding | undefined> {
    const { name, namespace: place = namespace } = object.metadata;
    const found = await readObject(api, resource, { namespace: place, name }, signal);
    if (found !== undefined && !isOurs(found)) {
      const message = `${resource.kind} ${place}/${name} exists without our label ${managedByLabel}=${managedByValue} and is left alone; rename or delete it`;
      return { reason: "ForeignObject", message, blocks: true };
    }
    try {
      await api.apply(resource, object, { force: true, signal });
      return undefined;
    } catch (error) {
      // What is refused for its content, or since there is no such namespace, does not get better by trying again at once.
      if (!(error instanceof ApiError) || ![403, 404, 422].includes(error.status)) throw error;
      const message = `${resource.kind} ${place}/${name} was refused (${error.status} ${error.reason}): ${error.message}`;
      if (resource !== resources.persistentVolumeClaims) return { reason: "ObjectRefused", message, blocks: true };
      // A claim that is there serves as it is.
      return { reason: "ObjectRefused", message, blocks: found === undefined, about: "storage" };
    }
  }

  async function remove(resource: Resource, address: ObjectName, signal: AbortSignal): Promise<boolean> {
    const found = await readObject(api, resource, address, signal);
    if (found === undefined || !isOurs(found)) return false;
    if (found.metadata.deletionTimestamp !== undefined) return true;
    const { uid } = found.metadata;
    try {
      await api.delete(resource, address, { ...(uid === undefined ? {} : { preconditions: { uid } }), signal });
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return false;
      throw error;
    }
  }

  return {
    async apply(objects, signal) {
      const findings: Finding[] = [];
      for (const desired of objects) {
        const finding = await applyOne(desired, signal);
        if (finding !== undefined) findings.push(finding);
      }
      return findings;
    },
    async prune(wanted, signal) {
      for (const { resource, name } of prunable) {
        const isWanted = wanted.some((entry) => entry.resource === resource && entry.object.metadata.name === name);
        if (!isWanted) await remove(resource, { namespace, name }, signal);
      }
    },
    remove,
    async create(resource, object, signal) {
      try {
        await api.create(resource, object, { signal });
        return true;
      } catch (error) {
        if (error instanceof ApiError && error.reason === "AlreadyExists") return false;
        throw error;
      }
    },
  };
}

function isOurs(object: KubernetesObject): boolean {
  return object.metadata.labels?.[managedByLabel] === managedByValue;
}
