import type { Readable } from "node:stream";

/** Content to be uploaded; it can be read from any place, so that a broken upload goes on where it was. */
export type Blob = {
  /** `sha256:<hex>` of the whole content. */
  readonly digest: string;
  readonly size: number;
  /** @param start first byte; @param end one behind the last byte */
  open(start: number, end: number): Readable;
};

export type Manifest = { readonly mediaType: string; readonly digest: string; readonly bytes: Buffer };

export type ManifestDescriptor = { readonly mediaType: string; readonly digest: string; readonly size: number };
