import type { Catalogue, CatalogueEntry, ListingMark } from "./catalogue.ts";
import type { RegistryClient } from "./client.ts";
import { forEachConcurrently } from "./concurrently.ts";
import { RegistryError } from "./registry-error.ts";

export type ListingNeeds = {
  readonly client: Pick<RegistryClient, "repositories" | "tags" | "headManifest">;
  readonly catalogue: Catalogue;
  /** Requests at the same time; 8 unless given. */
  readonly concurrency?: number;
  /** Ask for known digests without a tag, too: after a gap of the stream, in which a deletion may have been missed. */
  readonly afterGap?: boolean;
};

export type ListingOutcome = {
  readonly repositories: number;
  readonly tags: number;
  readonly removed: number;
  /** Repositories that the registry could not list, e.g. one with a broken folder; what is known of them stays. */
  readonly failed: readonly string[];
};

/**
 * Reads the whole registry into the catalogue: `_catalog`, `tags/list`, and a HEAD of each tag for its digest. Adds
 * and never removes by absence: what is known and was left out is asked for itself, and goes only on its own 404
 * (S3 listings of Distribution 3.1.1 leave tags out).
 *
 * @throws RegistryError when the registry does not answer or refuses the login; what was read until then stays
 */
export async function readListing(needs: ListingNeeds, signal: AbortSignal): Promise<ListingOutcome> {
  const { client, catalogue } = needs;
  const mark = catalogue.openListing();
  const failed: string[] = [];
  let tags = 0;
  let removed = 0;
  try {
    const names = new Set(catalogue.repositories());
    for await (const page of client.repositories(signal)) for (const name of page) names.add(name);
    await forEachConcurrently([...names], { concurrency: needs.concurrency ?? 8, signal }, async (name, stop) => {
      try {
        const found = await readRepository(needs, name, mark, stop);
        tags += found.tags;
        removed += found.removed;
      } catch (error) {
        if (!isOfOneRepository(error)) throw error;
        failed.push(name);
      }
    });
    return { repositories: names.size, tags, removed, failed: failed.sort() };
  } finally {
    catalogue.closeListing(mark);
  }
}

async function readRepository(
  { client, catalogue, afterGap }: ListingNeeds,
  repository: string,
  mark: ListingMark,
  signal: AbortSignal,
): Promise<{ readonly tags: number; readonly removed: number }> {
  const tags = new Set(catalogue.tagsOf(repository));
  const digests = new Set(afterGap === true ? catalogue.digestsOf(repository) : []);
  for await (const page of client.tags(repository, signal)) for (const tag of page) tags.add(tag);
  const entries: CatalogueEntry[] = [];
  let removed = 0;
  const drop = (reference: string) => {
    catalogue.remove({ repository, reference }, mark);
    removed++;
  };
  for (const tag of tags) {
    const manifest = await client.headManifest(repository, tag, signal);
    if (manifest === undefined) drop(tag);
    else {
      entries.push({ repository, tag, digest: manifest.digest });
      digests.delete(manifest.digest);
    }
  }
  for (const digest of digests) {
    if ((await client.headManifest(repository, digest, signal)) === undefined) drop(digest);
  }
  catalogue.addListing(entries, mark);
  return { tags: entries.length, removed };
}

function isOfOneRepository(error: unknown): boolean {
  return error instanceof RegistryError && error.status >= 400 && error.status !== 401 && error.status !== 429;
}
