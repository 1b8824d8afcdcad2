import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { type ObjectAddress, type Resource, resources } from "../cluster/resource.ts";

/** What was found at an address: `hidden` is there or not, and the asker may not know. */
export type Finding =
  | { readonly kind: "found"; readonly object: KubernetesObject }
  | { readonly kind: "absent" }
  | { readonly kind: "hidden"; readonly reason: string };

/** Where explain reads objects from: a cluster with the user's rights, or files. */
export type ObjectSource = {
  get(resource: Resource, address: ObjectAddress): Promise<Finding>;
  /** undefined: they may not be seen. */
  list(resource: Resource): Promise<readonly KubernetesObject[] | undefined>;
};

/** Objects in memory, as they were read from files. Those without a namespace are those of `default`. */
export function createMemorySource(objects: readonly KubernetesObject[]): ObjectSource {
  const ofKind = (resource: Resource) => objects.filter(({ kind }) => kind === resource.kind);
  return {
    async get(resource, { namespace, name }) {
      const object = ofKind(resource).find(
        ({ metadata }) =>
          metadata.name === name && (!resource.namespaced || (metadata.namespace ?? "default") === namespace),
      );
      return object === undefined ? { kind: "absent" } : { kind: "found", object };
    },
    list: async (resource) => ofKind(resource),
  };
}

/** A cluster, read with whatever rights the user has: what is forbidden is hidden. @throws ApiError for other faults */
export function createClusterSource(needs: { readonly api: ClusterApi; readonly signal: AbortSignal }): ObjectSource {
  const { api, signal } = needs;
  return {
    async get(resource, address) {
      try {
        return { kind: "found", object: await api.get(resource, address, signal) };
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return { kind: "absent" };
        if (error instanceof ApiError && error.status === 403) return { kind: "hidden", reason: "no right to read it" };
        throw error;
      }
    },
    async list(resource) {
      try {
        return await api.list(resource, {}, signal);
      } catch (error) {
        // 404: the kind itself is unknown, so that there are none.
        if (error instanceof ApiError && error.status === 404) return [];
        if (error instanceof ApiError && error.status === 403) return undefined;
        throw error;
      }
    },
  };
}

/**
 * What would be there after the given objects were applied: they come first, and a Namespace keeps the labels and
 * annotations that it has already.
 */
export function overlaySource(applied: ObjectSource, under: ObjectSource): ObjectSource {
  return {
    async get(resource, address) {
      const own = await applied.get(resource, address);
      if (own.kind !== "found") return under.get(resource, address);
      if (resource !== resources.namespaces) return own;
      const before = await under.get(resource, address);
      return before.kind === "found" ? { kind: "found", object: mergeMetadata(before.object, own.object) } : own;
    },
    async list(resource) {
      const [own = [], others] = await Promise.all([applied.list(resource), under.list(resource)]);
      if (others === undefined) return own.length === 0 ? undefined : own;
      const names = new Set(own.map(({ metadata }) => metadata.name));
      return [...own, ...others.filter(({ metadata }) => !names.has(metadata.name))];
    },
  };
}

function mergeMetadata(before: KubernetesObject, after: KubernetesObject): KubernetesObject {
  const labels = { ...before.metadata.labels, ...after.metadata.labels };
  const annotations = { ...before.metadata.annotations, ...after.metadata.annotations };
  return { ...before, metadata: { ...before.metadata, labels, annotations } };
}
