import { createHash } from "node:crypto";
import { SlipwayError } from "../../errors.ts";
import type { Blob, Manifest } from "../blob.ts";
import { isIndexType, mediaTypes } from "../media-type.ts";
import type { Content } from "./content.ts";
import type { ArchiveImage } from "./image.ts";

type Descriptor = {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations: Readonly<Record<string, string>>;
  readonly platform: string | undefined;
};

/** An image with everything below it, or the first file that is missing. */
type Reading =
  | {
      readonly kind: "whole";
      readonly root: Manifest;
      readonly children: readonly Manifest[];
      readonly blobs: readonly Blob[];
    }
  | { readonly kind: "incomplete"; readonly missing: string };

/**
 * The images of an OCI image layout, their manifests byte for byte. An index of which not everything is there (what
 * `docker save` writes of an image for several platforms) gives its only whole image instead.
 *
 * @throws SlipwayError ARCHIVE_INVALID for broken JSON, a digest that does not fit, or an image with missing files
 * @see https://github.com/opencontainers/image-spec/blob/main/image-layout.md
 */
export async function readOciLayout(content: Content): Promise<readonly ArchiveImage[]> {
  const index = parseObject(await content.read("index.json"), content.path, "index.json");
  const byDigest = new Map<string, ArchiveImage>();
  for (const descriptor of descriptorsOf(index.manifests, content.path)) {
    const name = descriptor.annotations["io.containerd.image.name"] ?? descriptor.annotations[refNameAnnotation];
    const names = name === undefined ? [] : [name];
    const known = byDigest.get(descriptor.digest);
    const image = known ?? (await readImage(content, descriptor));
    byDigest.set(descriptor.digest, { ...image, names: [...new Set([...image.names, ...names])] });
  }
  if (byDigest.size === 0) throw new SlipwayError("ARCHIVE_INVALID", `${content.path}: index.json lists no image`);
  return [...byDigest.values()];
}

const refNameAnnotation = "org.opencontainers.image.ref.name";

async function readImage(content: Content, descriptor: Descriptor): Promise<ArchiveImage> {
  const reading = await readTree(content, descriptor);
  if (reading.kind === "whole") return { ...reading, names: [], notes: [] };
  const only = isIndexType(descriptor.mediaType) ? await onlyWholeImage(content, descriptor) : undefined;
  if (only === undefined) {
    throw new SlipwayError("ARCHIVE_INVALID", `${content.path}: ${reading.missing} is missing; save the image again`);
  }
  const note = `only ${only.platform ?? "one platform"} of this image is in the archive; it is pushed without the index of the others`;
  return { ...only.reading, names: [], notes: [note] };
}

async function onlyWholeImage(
  content: Content,
  descriptor: Descriptor,
): Promise<{ readonly reading: Reading & { kind: "whole" }; readonly platform: string | undefined } | undefined> {
  if (content.sizeOf(blobName(descriptor.digest)) === undefined) return undefined;
  const index = await readManifest(content, descriptor);
  const parsed = parseObject(index.bytes, content.path, descriptor.digest);
  const whole: { reading: Reading & { kind: "whole" }; platform: string | undefined }[] = [];
  for (const child of descriptorsOf(parsed.manifests, content.path)) {
    // Attestations are listed as images of an unknown platform.
    if (child.platform?.startsWith("unknown/") === true) continue;
    const reading = await readTree(content, child);
    if (reading.kind === "whole") whole.push({ reading, platform: child.platform });
  }
  return whole.length === 1 ? whole[0] : undefined;
}

async function readTree(content: Content, descriptor: Descriptor): Promise<Reading> {
  const name = blobName(descriptor.digest);
  if (content.sizeOf(name) === undefined) return { kind: "incomplete", missing: name };
  const root = await readManifest(content, descriptor);
  const parsed = parseObject(root.bytes, content.path, descriptor.digest);
  return isIndexType(root.mediaType)
    ? readIndexTree(content, root, descriptorsOf(parsed.manifests, content.path))
    : readManifestTree(content, root, parsed);
}

async function readIndexTree(content: Content, root: Manifest, listed: readonly Descriptor[]): Promise<Reading> {
  const children = new Map<string, Manifest>();
  const blobs = new Map<string, Blob>();
  for (const descriptor of listed) {
    const reading = await readTree(content, descriptor);
    if (reading.kind === "incomplete") return reading;
    for (const manifest of [...reading.children, reading.root]) children.set(manifest.digest, manifest);
    for (const blob of reading.blobs) blobs.set(blob.digest, blob);
  }
  return { kind: "whole", root, children: [...children.values()], blobs: [...blobs.values()] };
}

function readManifestTree(content: Content, root: Manifest, parsed: Readonly<Record<string, unknown>>): Reading {
  const listed = descriptorsOf([parsed.config, ...asList(parsed.layers)], content.path);
  const blobs = new Map<string, Blob>();
  for (const { digest, size } of listed) {
    const name = blobName(digest);
    if (content.sizeOf(name) !== size) return { kind: "incomplete", missing: name };
    blobs.set(digest, { digest, size, open: (start, end) => content.open(name, start, end) });
  }
  return { kind: "whole", root, children: [], blobs: [...blobs.values()] };
}

async function readManifest(content: Content, descriptor: Descriptor): Promise<Manifest> {
  const bytes = await content.read(blobName(descriptor.digest));
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  if (digest !== descriptor.digest) {
    throw new SlipwayError("ARCHIVE_INVALID", `${content.path}: ${blobName(descriptor.digest)} has other content`);
  }
  const own = parseObject(bytes, content.path, digest).mediaType;
  return { digest, bytes, mediaType: typeof own === "string" ? own : descriptor.mediaType };
}

function blobName(digest: string): string {
  return `blobs/${digest.replace(":", "/")}`;
}

function parseObject(bytes: Buffer, path: string, name: string): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(bytes.toString("utf8"));
    if (typeof parsed === "object" && parsed !== null) return parsed as Record<string, unknown>;
  } catch {
    // reported below: broken JSON and JSON of another shape are the same to the user
  }
  throw new SlipwayError("ARCHIVE_INVALID", `${path}: ${name} is no JSON object`);
}

function descriptorsOf(value: unknown, path: string): readonly Descriptor[] {
  return asList(value).map((item) => {
    const { mediaType, digest, size, annotations, platform } = (item ?? {}) as Record<string, unknown>;
    if (typeof digest !== "string" || !/^sha256:[0-9a-f]{64}$/.test(digest) || typeof size !== "number") {
      throw new SlipwayError("ARCHIVE_INVALID", `${path}: a descriptor has no sha256 digest and size`);
    }
    return {
      mediaType: typeof mediaType === "string" ? mediaType : mediaTypes.ociManifest,
      digest,
      size,
      annotations: (annotations ?? {}) as Record<string, string>,
      platform: platformOf(platform),
    };
  });
}

function platformOf(value: unknown): string | undefined {
  const { os, architecture, variant } = (value ?? {}) as Record<string, unknown>;
  const parts = [os, architecture, variant].filter((part) => typeof part === "string");
  return parts.length === 0 ? undefined : parts.join("/");
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
