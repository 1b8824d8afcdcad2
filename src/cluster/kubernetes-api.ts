import { fieldManager } from "../config/names.ts";
import { type ApiRequest, type ApiTransport, applyContentType, type ClusterApi } from "./api.ts";
import { errorOfUnreadable } from "./failure.ts";
import { listCollection } from "./list.ts";
import { isRecord } from "./narrow.ts";
import type { KubernetesObject } from "./object.ts";
import { apiVersionOf, type ObjectAddress, type Resource, resourcePath } from "./resource.ts";

const pageLimit = 500;

/**
 * The verbs over a transport. Every write carries the field manager `slipway`; `apiVersion` and `kind` are filled in
 * where an object lacks them.
 *
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/
 */
export function createClusterApi(transport: ApiTransport): ClusterApi {
  const exchange = async (request: ApiRequest): Promise<KubernetesObject> => {
    const body = await transport.json(request);
    if (!isAnswer(body)) throw errorOfUnreadable(`${request.method} ${request.path}`);
    return body;
  };

  return {
    get: (resource, address, signal) => exchange({ method: "GET", path: resourcePath(resource, address), signal }),

    async list(resource, options, signal) {
      return (await listCollection(transport, resource, options, { limit: pageLimit, signal })).items;
    },

    create(resource, object, { dryRun, subresource, retry, signal }) {
      const address = { ...scopeOf(object), ...subresource };
      return exchange({
        method: "POST",
        path: resourcePath(resource, address),
        query: { fieldManager, dryRun: dryRun === true ? "All" : undefined },
        body: typed(resource, object),
        retry: retry ?? false,
        signal,
      });
    },

    apply(resource, object, { force, subresource, dryRun, retry, signal }) {
      return exchange({
        method: "PATCH",
        path: resourcePath(resource, { ...addressOf(object), ...(subresource === undefined ? {} : { subresource }) }),
        query: {
          fieldManager,
          force: force === true ? "true" : undefined,
          dryRun: dryRun === true ? "All" : undefined,
        },
        body: typed(resource, object),
        contentType: applyContentType,
        retry: retry ?? true,
        signal,
      });
    },

    merge: (resource, address, patch, signal) =>
      exchange({
        method: "PATCH",
        path: resourcePath(resource, address),
        query: { fieldManager },
        body: patch,
        contentType: "application/merge-patch+json",
        signal,
      }),

    replace(resource, object, { subresource, signal }) {
      return exchange({
        method: "PUT",
        path: resourcePath(resource, { ...addressOf(object), ...(subresource === undefined ? {} : { subresource }) }),
        query: { fieldManager },
        body: typed(resource, object),
        signal,
      });
    },

    async delete(resource, address, { preconditions, signal }) {
      await transport.json({
        method: "DELETE",
        path: resourcePath(resource, address),
        body: { apiVersion: "v1", kind: "DeleteOptions", ...(preconditions === undefined ? {} : { preconditions }) },
        signal,
      });
    },
  };
}

function scopeOf(object: KubernetesObject): ObjectAddress {
  const { namespace } = object.metadata;
  return namespace === undefined ? {} : { namespace };
}

function addressOf(object: KubernetesObject): ObjectAddress {
  return { ...scopeOf(object), name: object.metadata.name };
}

function typed(resource: Resource, object: KubernetesObject): KubernetesObject {
  return { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object };
}

/** Reviews come back with metadata that has no name. */
function isAnswer(body: unknown): body is KubernetesObject {
  return isRecord(body) && isRecord(body.metadata);
}
