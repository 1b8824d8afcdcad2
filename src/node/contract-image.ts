import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import type { Blob, Manifest } from "../registry/blob.ts";
import type { RegistryClient } from "../registry/client.ts";

export type ContractImage = { readonly blobs: readonly Blob[]; readonly manifest: Manifest };

const blockBytes = 512;

/**
 * An image without a program: a configuration and a layer with one small file. It can be pulled and never run, which
 * is all that the contract check needs. Two images of different `content` share nothing.
 *
 * @see https://github.com/opencontainers/image-spec/blob/main/config.md
 */
export function buildContractImage(content: string): ContractImage {
  const layer = tarOf("slipway-contract", Buffer.from(content));
  const packed = gzipSync(layer);
  const config = Buffer.from(
    JSON.stringify({
      architecture: "amd64",
      os: "linux",
      config: { Labels: { "dev.slipway.contract": content } },
      rootfs: { type: "layers", diff_ids: [digestOf(layer)] },
    }),
  );
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: descriptor("application/vnd.oci.image.config.v1+json", config),
      layers: [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", packed)],
    }),
  );
  return {
    blobs: [blobOf(config), blobOf(packed)],
    manifest: { mediaType: manifestType, digest: digestOf(bytes), bytes },
  };
}

/** @throws RegistryError */
export async function pushContractImage(
  registry: Pick<RegistryClient, "uploadBlob" | "putManifest">,
  what: { readonly image: ContractImage; readonly repository: string; readonly tag: string },
  signal: AbortSignal,
): Promise<void> {
  const { image, repository, tag } = what;
  for (const blob of image.blobs) await registry.uploadBlob(repository, blob, { signal });
  await registry.putManifest(repository, tag, image.manifest, signal);
}

const manifestType = "application/vnd.oci.image.manifest.v1+json";

function descriptor(mediaType: string, bytes: Buffer) {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

function blobOf(bytes: Buffer): Blob {
  return {
    digest: digestOf(bytes),
    size: bytes.length,
    open: (start, end) => Readable.from([bytes.subarray(start, end)]),
  };
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/**
 * A tar archive of one regular file.
 *
 * @see https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html (ustar Interchange Format)
 */
function tarOf(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(blockBytes);
  const octal = (value: number, width: number) => `${value.toString(8).padStart(width - 1, "0")}\0`;
  header.write(name, 0);
  header.write(octal(0o644, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  header.write(octal(content.length, 12), 124);
  header.write(octal(0, 12), 136);
  header.write(" ".repeat(8), 148);
  header.write("0", 156);
  header.write("ustar\0", 257);
  header.write("00", 263);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  const padding = Buffer.alloc((blockBytes - (content.length % blockBytes)) % blockBytes);
  return Buffer.concat([header, content, padding, Buffer.alloc(2 * blockBytes)]);
}
