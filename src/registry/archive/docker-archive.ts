import { createHash } from "node:crypto";
import { SlipwayError } from "../../errors.ts";
import type { Blob, Manifest } from "../blob.ts";
import { mediaTypes } from "../media-type.ts";
import type { Content } from "./content.ts";
import type { ArchiveImage } from "./image.ts";

/**
 * The images of a docker archive (`docker save` before version 25, podman, kaniko): an OCI manifest is made for each,
 * over the layers as they are. An uncompressed layer's digest is its diff_id, so nothing is hashed here; the registry
 * checks it at the end of the upload.
 *
 * @throws SlipwayError ARCHIVE_INVALID
 * @see https://github.com/moby/moby/blob/master/image/spec/v1.2.md (combined image JSON and filesystem changeset format)
 */
export async function readDockerArchive(content: Content): Promise<readonly ArchiveImage[]> {
  const entries: unknown = parse(await content.read("manifest.json"), content.path, "manifest.json");
  if (!Array.isArray(entries) || entries.length === 0) throw invalid(content.path, "manifest.json lists no image");
  return Promise.all(entries.map((entry: unknown) => readImage(content, entry)));
}

async function readImage(content: Content, entry: unknown): Promise<ArchiveImage> {
  const { Config, RepoTags, Layers } = (entry ?? {}) as Record<string, unknown>;
  if (typeof Config !== "string" || !isTextList(Layers)) {
    throw invalid(content.path, "an entry of manifest.json has no Config and Layers");
  }
  const configBytes = await content.read(Config);
  const diffIds = diffIdsOf(parse(configBytes, content.path, Config));
  if (diffIds.length !== Layers.length) {
    throw invalid(content.path, `${Config} names ${diffIds.length} layers, manifest.json ${Layers.length}`);
  }
  const config = blobOf(content, Config, digestOf(configBytes));
  const layers = await Promise.all(Layers.map((name, index) => readLayer(content, name, diffIds[index] ?? "")));
  const root = manifestOf(config, layers);
  const blobs = new Map([config, ...layers.map(({ blob }) => blob)].map((blob) => [blob.digest, blob]));
  return { names: isTextList(RepoTags) ? RepoTags : [], root, children: [], blobs: [...blobs.values()], notes: [] };
}

type Layer = { readonly blob: Blob; readonly mediaType: string };

async function readLayer(content: Content, name: string, diffId: string): Promise<Layer> {
  const size = content.sizeOf(name);
  if (size === undefined) throw invalid(content.path, `${name} is missing`);
  const start = await readStart(content, name, Math.min(2, size));
  const isGzip = start.equals(Buffer.from([0x1f, 0x8b]));
  const digest = isGzip ? await hashOf(content, name, size) : diffId;
  return { blob: blobOf(content, name, digest), mediaType: isGzip ? mediaTypes.ociLayerGzip : mediaTypes.ociLayer };
}

async function readStart(content: Content, name: string, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of content.open(name, 0, length) as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function hashOf(content: Content, name: string, size: number): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of content.open(name, 0, size) as AsyncIterable<Buffer>) hash.update(chunk);
  return `sha256:${hash.digest("hex")}`;
}

function blobOf(content: Content, name: string, digest: string): Blob {
  const size = content.sizeOf(name) ?? 0;
  return { digest, size, open: (start, end) => content.open(name, start, end) };
}

function manifestOf(config: Blob, layers: readonly Layer[]): Manifest {
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: mediaTypes.ociConfig, digest: config.digest, size: config.size },
      layers: layers.map(({ blob, mediaType }) => ({ mediaType, digest: blob.digest, size: blob.size })),
    }),
  );
  return { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
}

function diffIdsOf(config: unknown): readonly string[] {
  const diffIds = (config as { rootfs?: { diff_ids?: unknown } } | null)?.rootfs?.diff_ids;
  return isTextList(diffIds) ? diffIds : [];
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function parse(bytes: Buffer, path: string, name: string): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw new SlipwayError("ARCHIVE_INVALID", `${path}: ${name} is no JSON`, { cause: error });
  }
}

function invalid(path: string, what: string): SlipwayError {
  return new SlipwayError("ARCHIVE_INVALID", `${path}: ${what}`);
}
