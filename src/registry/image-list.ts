import type { RegistryClient } from "./client.ts";
import { forEachConcurrently } from "./concurrently.ts";

export type ListedImage = {
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
  readonly mediaType: string;
};

/**
 * Tags of the registry with their digests, sorted by repository and tag.
 *
 * @param options.namespace only `<namespace>/**`
 */
export async function listImages(
  client: Pick<RegistryClient, "repositories" | "tags" | "headManifest">,
  options: { readonly namespace?: string | undefined; readonly signal: AbortSignal },
): Promise<readonly ListedImage[]> {
  const { namespace, signal } = options;
  const repositories: string[] = [];
  for await (const page of client.repositories(signal)) {
    repositories.push(...page.filter((name) => namespace === undefined || name.startsWith(`${namespace}/`)));
  }
  const images: ListedImage[] = [];
  await forEachConcurrently(repositories, { concurrency: 8, signal }, async (repository, stop) => {
    for await (const page of client.tags(repository, stop)) {
      for (const tag of page) {
        const manifest = await client.headManifest(repository, tag, stop);
        if (manifest !== undefined) {
          images.push({ repository, tag, digest: manifest.digest, mediaType: manifest.mediaType });
        }
      }
    }
  });
  return images.sort((left, right) => (nameOf(left) < nameOf(right) ? -1 : 1));
}

function nameOf(image: ListedImage): string {
  return `${image.repository}\n${image.tag}`;
}
