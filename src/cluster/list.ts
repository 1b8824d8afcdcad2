import { ApiError, type ApiTransport, type ListOptions } from "./api.ts";
import { errorOfUnreadable } from "./failure.ts";
import { isRecord } from "./narrow.ts";
import type { KubernetesObject } from "./object.ts";
import { type Resource, resourcePath } from "./resource.ts";

export type Collection = {
  readonly items: readonly KubernetesObject[];
  /** Of the first page, which all pages share: where a watch goes on. */
  readonly resourceVersion: string;
};

export type PageOptions = {
  /** Objects per page. */
  readonly limit: number;
  readonly retry?: boolean;
  readonly signal: AbortSignal;
};

/** @see https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables (content negotiation) */
export function listAccept(metadataOnly: boolean | undefined): string {
  return metadataOnly === true
    ? "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    : "application/json";
}

/**
 * A whole collection, page by page, as it is now (never out of an old cache). A `continue` that expires in mid-list
 * (410) begins again with one unpaged request, which cannot expire.
 *
 * @throws ApiError
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
 */
export async function listCollection(
  transport: ApiTransport,
  resource: Resource,
  selection: ListOptions,
  page: PageOptions,
): Promise<Collection> {
  const readPage = async (limit: number | undefined, continuation: string | undefined): Promise<Page> => {
    const path = resourcePath(resource, selection.namespace === undefined ? {} : { namespace: selection.namespace });
    const body = await transport.json({
      method: "GET",
      path,
      query: {
        labelSelector: selection.labelSelector,
        fieldSelector: selection.fieldSelector,
        limit: limit === undefined ? undefined : String(limit),
        continue: continuation,
      },
      accept: listAccept(selection.metadataOnly),
      ...(page.retry === undefined ? {} : { retry: page.retry }),
      signal: page.signal,
    });
    return parsePage(body, path);
  };

  const first = await readPage(page.limit, undefined);
  const items = [...first.items];
  let continuation = first.continuation;
  while (continuation !== "") {
    try {
      const next = await readPage(page.limit, continuation);
      items.push(...next.items);
      continuation = next.continuation;
    } catch (error) {
      if (error instanceof ApiError && error.status === 410) return readPage(undefined, undefined);
      throw error;
    }
  }
  return { items, resourceVersion: first.resourceVersion };
}

type Page = Collection & { readonly continuation: string };

function parsePage(body: unknown, path: string): Page {
  if (!isRecord(body) || !isRecord(body.metadata)) throw errorOfUnreadable(`GET ${path}`);
  // An empty PartialObjectMetadataList says `"items": null`.
  const items = body.items ?? [];
  const { resourceVersion, continue: continuation } = body.metadata;
  if (!Array.isArray(items) || typeof resourceVersion !== "string") throw errorOfUnreadable(`GET ${path}`);
  return {
    items: items.filter(isObject),
    resourceVersion,
    continuation: typeof continuation === "string" ? continuation : "",
  };
}

/** Whether it has metadata with a name: all that anything here relies on. */
export function isObject(value: unknown): value is KubernetesObject {
  return isRecord(value) && isRecord(value.metadata) && typeof value.metadata.name === "string";
}
