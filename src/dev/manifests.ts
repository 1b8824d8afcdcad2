import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parse, parseAllDocuments } from "yaml";
import { ApiError, type ApiTransport, type ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { Resource } from "../cluster/resource.ts";
import { SlipwayError } from "../errors.ts";

/**
 * The objects of a kustomization folder in the order of its `resources`, followed into folders that have one of their
 * own. Only `resources` is understood: what is read this way must not need transformers.
 *
 * @throws SlipwayError CONFIG_INVALID for a document that is no Kubernetes object
 */
export async function readManifests(folder: string): Promise<readonly KubernetesObject[]> {
  const path = join(folder, "kustomization.yaml");
  const { resources = [] } = parse(await readFile(path, "utf8")) as { readonly resources?: readonly string[] };
  const objects: KubernetesObject[] = [];
  for (const entry of resources) {
    const target = join(folder, entry);
    objects.push(...(/\.ya?ml$/.test(entry) ? await readFileObjects(target) : await readManifests(target)));
  }
  return objects;
}

async function readFileObjects(path: string): Promise<readonly KubernetesObject[]> {
  const documents = parseAllDocuments(await readFile(path, "utf8"));
  return documents.map((document) => {
    const value: unknown = document.toJS();
    if (isObject(value)) return value;
    throw new SlipwayError("CONFIG_INVALID", `${path} in ${dirname(path)}: a document has no kind or no metadata.name`);
  });
}

function isObject(value: unknown): value is KubernetesObject {
  const object = value as { kind?: unknown; metadata?: { name?: unknown } } | null;
  return typeof object?.kind === "string" && typeof object.metadata?.name === "string";
}

/**
 * Applies objects one after the other, as `kubectl apply --server-side` does: resource names come from the API
 * server's discovery, a kind whose CRD has just been applied is waited for.
 *
 * @throws ApiError as the API server answers; SlipwayError CONFIG_INVALID for a kind that it does not know
 */
export function createManifestApplier(needs: { readonly api: ClusterApi; readonly transport: ApiTransport }): {
  apply(objects: readonly KubernetesObject[], signal: AbortSignal): Promise<void>;
} {
  const known = new Map<string, readonly Resource[]>();

  async function discover(apiVersion: string, signal: AbortSignal): Promise<readonly Resource[]> {
    const path = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const answer = (await needs.transport.json({ method: "GET", path, signal })) as { resources?: unknown };
    const [groupName = "", versionName] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion];
    return ((answer.resources ?? []) as { name: string; kind: string; namespaced: boolean }[])
      .filter(({ name }) => !name.includes("/"))
      .map(({ name, kind, namespaced }) => ({
        group: groupName,
        version: versionName ?? "",
        kind,
        plural: name,
        namespaced,
      }));
  }

  async function resourceOf(object: KubernetesObject, signal: AbortSignal): Promise<Resource> {
    const { apiVersion = "v1", kind } = object;
    const find = () => known.get(apiVersion)?.find((resource) => resource.kind === kind);
    if (find() === undefined) known.set(apiVersion, await discover(apiVersion, signal));
    const found = find();
    if (found !== undefined) return found;
    throw new SlipwayError("CONFIG_INVALID", `the API server does not know kind ${String(kind)} of ${apiVersion}`);
  }

  return {
    async apply(objects, signal) {
      for (const object of objects) {
        try {
          await needs.api.apply(await resourceOf(object, signal), object, { force: true, signal });
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          const { kind, metadata } = object;
          throw new SlipwayError("CONFIG_INVALID", `${String(kind)} ${metadata.name}: ${error.message}`, {
            cause: error,
          });
        }
      }
    },
  };
}
