import type { ArchiveImage } from "./archive/image.ts";
import type { Blob } from "./blob.ts";
import type { RegistryClient } from "./client.ts";
import { forEachConcurrently } from "./concurrently.ts";
import type { Destination } from "./destination.ts";

/** Told what happens to each blob; bytes are of the blob, not of the whole push. */
export type PushProgress = {
  begin(blobs: readonly Blob[]): void;
  sent(blob: Blob, sentBytes: number): void;
  done(blob: Blob, outcome: "pushed" | "exists"): void;
};

const blobsAtOnce = 3;

/**
 * Pushes an image: blobs that the repository has already are skipped, children of an index come before it, the tag
 * last, so that nobody ever sees half of it.
 *
 * @throws RegistryError after the client's own attempts
 */
export async function pushImage(
  needs: { readonly client: RegistryClient; readonly progress: PushProgress; readonly signal: AbortSignal },
  image: ArchiveImage,
  destination: Destination,
): Promise<void> {
  const { client, progress, signal } = needs;
  const { repository, tag } = destination;
  progress.begin(image.blobs);
  await forEachConcurrently(image.blobs, { concurrency: blobsAtOnce, signal }, async (blob, stop) => {
    if (await client.hasBlob(repository, blob.digest, stop)) return progress.done(blob, "exists");
    const onProgress = (sentBytes: number) => progress.sent(blob, sentBytes);
    await client.uploadBlob(repository, blob, { onProgress, signal: stop });
    progress.done(blob, "pushed");
  });
  for (const child of image.children) await client.putManifest(repository, child.digest, child, signal);
  await client.putManifest(repository, tag, image.root, signal);
}
