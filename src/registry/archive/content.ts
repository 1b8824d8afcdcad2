import type { Readable } from "node:stream";

/** Files by name, whether they lie in a folder or in a tar. Names have no leading `./` or `/`. */
export type Content = {
  /** Of the archive, for messages. */
  readonly path: string;
  /** @returns undefined when there is no such file */
  sizeOf(name: string): number | undefined;
  /** @param end one behind the last byte */
  open(name: string, start: number, end: number): Readable;
  /** A small file as a whole. @throws SlipwayError ARCHIVE_INVALID when it is absent or too long */
  read(name: string): Promise<Buffer>;
  close(): Promise<void>;
};

/** Manifests, indexes and configurations: the limit of registries for manifests. */
export const smallFileLimitBytes = 4 * 1024 * 1024;
