import { ApiError, type ApiTransport } from "../cluster/api.ts";

/**
 * Deletes everything in a namespace, as the namespace controller does before it finalizes one: every namespaced
 * resource that discovery lists with the verb `deletecollection`. Objects with finalizers of their own are asked to go
 * and not waited for.
 *
 * @throws ApiError of the first request that fails for another reason than that the resource is gone
 */
export async function emptyNamespace(transport: ApiTransport, namespace: string, signal: AbortSignal): Promise<void> {
  for (const root of await groupVersionRoots(transport, signal)) {
    for (const plural of await collections(transport, root, signal)) {
      const path = `${root}/namespaces/${encodeURIComponent(namespace)}/${plural}`;
      try {
        await transport.json({ method: "DELETE", path, body: { gracePeriodSeconds: 0 }, signal });
      } catch (error) {
        if (!(error instanceof ApiError && [404, 405].includes(error.status))) throw error;
      }
    }
  }
}

/** @returns `/api/v1` and `/apis/<group>/<preferred version>` of each group */
async function groupVersionRoots(transport: ApiTransport, signal: AbortSignal): Promise<readonly string[]> {
  const answer = await transport.json({ method: "GET", path: "/apis", signal });
  const { groups = [] } = answer as { groups?: readonly { preferredVersion?: { groupVersion?: string } }[] };
  const preferred = groups.map((group) => group.preferredVersion?.groupVersion).filter((text) => text !== undefined);
  return ["/api/v1", ...preferred.map((groupVersion) => `/apis/${groupVersion}`)];
}

async function collections(transport: ApiTransport, root: string, signal: AbortSignal): Promise<readonly string[]> {
  type Listed = { readonly name: string; readonly namespaced: boolean; readonly verbs: readonly string[] };
  const answer = await transport.json({ method: "GET", path: root, signal });
  const { resources = [] } = answer as { resources?: readonly Listed[] };
  return resources
    .filter(({ name, namespaced, verbs }) => namespaced && !name.includes("/") && verbs.includes("deletecollection"))
    .map(({ name }) => name);
}
