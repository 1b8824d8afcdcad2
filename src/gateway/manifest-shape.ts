import { isDigest } from "./repository-path.ts";

export type ManifestVerdict =
  | { readonly kind: "accepted" }
  /** One sentence for the client. */
  | { readonly kind: "refused"; readonly reason: string };

export const manifestLimitBytes = 4 * 1024 * 1024;

const manifestKeys = ["schemaVersion", "mediaType", "config", "layers", "manifests"] as const;
const descriptorKeys = ["mediaType", "digest", "size"] as const;

/**
 * Whether bytes have the shape of a manifest that Distribution can read: an object with `schemaVersion` 2 and either
 * `config` and `layers` (image manifest) or `manifests` (index). Distribution 3.1.1 answers 500 to `null` and to
 * `{"schemaVersion":1}`. Says nothing about whether blobs exist: that is Distribution's part.
 *
 * Go takes `Config` for `config`: a key in another case would be read by Distribution and not by anything else, so that
 * it is refused.
 *
 * @see https://github.com/opencontainers/image-spec/blob/main/manifest.md
 * @see https://pkg.go.dev/encoding/json#Unmarshal ("accepting a case-insensitive match")
 */
export function checkManifestShape(bytes: Uint8Array): ManifestVerdict {
  const manifest = parseObject(bytes);
  if (manifest === undefined) return refuse("the manifest is no JSON object");
  const doubtful = doubtfulKey(manifest, manifestKeys);
  if (doubtful !== undefined) return refuse(`the manifest has a key ${doubtful} in another case`);
  if (manifest.schemaVersion !== 2) return refuse("schemaVersion of the manifest has to be 2");
  const { mediaType, manifests, config, layers } = manifest;
  if (mediaType !== undefined && typeof mediaType !== "string") return refuse("mediaType has to be a string");
  if (manifests !== undefined) {
    return isDescriptorList(manifests) ? { kind: "accepted" } : refuse("manifests has to be a list of descriptors");
  }
  if (!isDescriptor(config)) return refuse("config has to be a descriptor");
  return isDescriptorList(layers) ? { kind: "accepted" } : refuse("layers has to be a list of descriptors");
}

function refuse(reason: string): ManifestVerdict {
  return { kind: "refused", reason };
}

function parseObject(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    // Neither UTF-8 nor JSON: the caller says so to the client.
    return undefined;
  }
}

function isDescriptorList(value: unknown): boolean {
  return Array.isArray(value) && value.every(isDescriptor);
}

function isDescriptor(value: unknown): boolean {
  if (typeof value !== "object" || value === null || doubtfulKey(value, descriptorKeys) !== undefined) return false;
  const { digest, size } = value as { digest?: unknown; size?: unknown };
  return typeof digest === "string" && isDigest(digest) && Number.isSafeInteger(size) && Number(size) >= 0;
}

/** The first of these names that is there in another case, as encoding/json compares: letter by letter, `\u017f` is an `s`. */
function doubtfulKey(value: object, names: readonly string[]): string | undefined {
  const fold = (text: string) => text.toLowerCase().toUpperCase();
  const others = Object.keys(value).filter((key) => !names.includes(key));
  const folded = new Set(others.map(fold));
  return names.find((name) => folded.has(fold(name)));
}
