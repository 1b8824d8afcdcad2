import type { Blob, Manifest } from "../blob.ts";

/** One image of an archive, ready to be pushed. */
export type ArchiveImage = {
  /** What the archive calls it, as written there: `busybox:1.37`, `ghcr.io/example/app:1`; may be empty. */
  readonly names: readonly string[];
  /** What the tag will point at: a manifest or an index. */
  readonly root: Manifest;
  /** The manifests below an index, children before their parents. */
  readonly children: readonly Manifest[];
  /** Configurations and layers, each once. */
  readonly blobs: readonly Blob[];
  /** What was left out and why, for people. */
  readonly notes: readonly string[];
};

export type Archive = { readonly images: readonly ArchiveImage[]; close(): Promise<void> };
