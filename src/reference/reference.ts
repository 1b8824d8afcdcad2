/**
 * A normalised image reference. `registry` keeps its case, as distribution/reference does; compare it with
 * sameRegistry. Tag and digest may both be there; both absent means the tag `latest` to a runtime, and nothing is added.
 */
export type Reference = {
  /** `host[:port]`, e.g. `docker.io`, `registry.example.com:5000`, `[::1]:5000`. */
  readonly registry: string;
  /** The repository without the registry, e.g. `library/nginx`; at most 255 characters. */
  readonly path: string;
  readonly tag?: string;
  /** `<algorithm>:<lower-case hex>`. */
  readonly digest?: string;
};

export const defaultRegistry = "docker.io";
export const officialPrefix = "library/";

/** @returns a Reference without keys for what is absent */
export function createReference(
  registry: string,
  path: string,
  tag: string | undefined,
  digest: string | undefined,
): Reference {
  if (tag === undefined) return digest === undefined ? { registry, path } : { registry, path, digest };
  return digest === undefined ? { registry, path, tag } : { registry, path, tag, digest };
}

/**
 * The canonical form, `registry/path[:tag][@digest]`. parseReference gives back the same Reference.
 *
 * @see https://github.com/distribution/reference/blob/main/reference.go
 */
export function formatReference(reference: Reference): string {
  return `${reference.registry}/${reference.path}${formatSuffix(reference)}`;
}

/**
 * The short form that people write: `docker.io/library/nginx:1` is `nginx:1`, `docker.io/grafana/loki` is
 * `grafana/loki`. A path whose short form would mean something else (its first segment reads as a host, or it is 64 hex
 * characters) stays canonical, so that parseReference always gives back the same Reference.
 *
 * @see https://github.com/distribution/reference/blob/main/normalize.go (familiarizeName)
 */
export function formatFamiliar(reference: Reference): string {
  return `${familiarName(reference)}${formatSuffix(reference)}`;
}

/** `[:tag][@digest]`, as it stands behind a name. */
export function formatSuffix(reference: Pick<Reference, "tag" | "digest">): string {
  const { tag, digest } = reference;
  if (digest === undefined) return tag === undefined ? "" : `:${tag}`;
  return tag === undefined ? `@${digest}` : `:${tag}@${digest}`;
}

function familiarName({ registry, path }: Reference): string {
  if (registry !== defaultRegistry) return `${registry}/${path}`;
  const official = path.startsWith(officialPrefix) && !path.includes("/", officialPrefix.length);
  const short = official ? path.slice(officialPrefix.length) : path;
  const slash = short.indexOf("/");
  const misread = slash < 0 ? isIdentifier(short) || !official : readsAsHost(short.slice(0, slash));
  return misread ? `${registry}/${path}` : short;
}

/**
 * Whether the first part of a name, before its first `/`, is a registry: it has a dot or a colon, is `localhost`, or
 * has an upper-case letter.
 *
 * @see https://github.com/distribution/reference/blob/main/normalize.go (splitDockerDomain)
 */
export function readsAsHost(part: string): boolean {
  return part === "localhost" || /[.:A-Z]/.test(part);
}

/** Whether a bare name is 64 hex characters, which distribution/reference refuses: it could be an image's id. */
export function isIdentifier(text: string): boolean {
  return text.length === 64 && /^[a-f0-9]{64}$/.test(text);
}
