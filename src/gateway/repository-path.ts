/** What a request to the registry is about. Everything in it has been checked against the grammar. */
export type RegistryRoute =
  | { readonly kind: "base" }
  | { readonly kind: "catalog" }
  | { readonly kind: "manifest"; readonly repository: string; readonly reference: string }
  | { readonly kind: "blob"; readonly repository: string; readonly digest: string }
  /** `id` undefined: an upload is to begin. */
  | { readonly kind: "upload"; readonly repository: string; readonly id: string | undefined }
  | { readonly kind: "tags"; readonly repository: string }
  | { readonly kind: "referrers"; readonly repository: string; readonly digest: string };

export type PathOutcome =
  | { readonly kind: "route"; readonly route: RegistryRoute }
  | {
      readonly kind: "refused";
      readonly status: 400 | 404;
      readonly code: "NAME_INVALID" | "MANIFEST_UNKNOWN" | "BLOB_UNKNOWN" | "BLOB_UPLOAD_UNKNOWN" | "NOT_FOUND";
    };

// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
const segmentGrammar = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagGrammar = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
// The algorithms that Distribution has; it answers 500 where another one, or one of another length, is a reference.
const digestGrammar = /^(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$/;
// Any word but one of dots alone, which would be a step in the path. Distribution's routes know `=` as well, its storage
// does not: 500.
const uploadGrammar = /^(?!\.+$)[a-zA-Z0-9_.-]{1,128}$/;

/**
 * Whether it is a repository's name by the grammar of the distribution specification, at most 255 characters.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
 */
export function isRepositoryName(name: string): boolean {
  return name.length <= 255 && name.split("/").every((segment) => segmentGrammar.test(segment));
}

export function isTag(reference: string): boolean {
  return tagGrammar.test(reference);
}

export function isDigest(reference: string): boolean {
  return digestGrammar.test(reference);
}

/**
 * Reads the path of a request. Segments are split before they are decoded, and each has to follow the grammar
 * afterwards, so that `%2f`, `..`, empty segments and upper-case names never reach a decision: they are refused.
 *
 * @param path as the client sent it, without the query; begins with `/v2`
 */
export function parseRegistryPath(path: string): PathOutcome {
  const segments = decodeSegments(path);
  if (segments === undefined || segments[0] !== "" || segments[1] !== "v2") return refused(404, "NOT_FOUND");
  const rest = segments.slice(2);
  if (rest.length === 0 || (rest.length === 1 && rest[0] === "")) return { kind: "route", route: { kind: "base" } };
  if (rest.length === 1 && rest[0] === "_catalog") return { kind: "route", route: { kind: "catalog" } };
  return parseRepositoryRoute(rest);
}

/** The path as Distribution is given it: made of what was checked, never of what came in. */
export function formatRegistryPath(route: RegistryRoute): string {
  switch (route.kind) {
    case "base":
      return "/v2/";
    case "catalog":
      return "/v2/_catalog";
    case "manifest":
      return `/v2/${route.repository}/manifests/${route.reference}`;
    case "blob":
      return `/v2/${route.repository}/blobs/${route.digest}`;
    case "upload":
      return `/v2/${route.repository}/blobs/uploads/${route.id ?? ""}`;
    case "tags":
      return `/v2/${route.repository}/tags/list`;
    case "referrers":
      return `/v2/${route.repository}/referrers/${route.digest}`;
  }
}

/** The end of the path says what it is; what stands before is the repository. */
function parseRepositoryRoute(segments: readonly string[]): PathOutcome {
  const upload = parseUpload(segments);
  if (upload !== undefined) return upload;
  const [verb, last] = [segments.at(-2), segments.at(-1) ?? ""];
  const repository = segments.slice(0, -2).join("/");
  switch (verb) {
    case "manifests":
      if (!tagGrammar.test(last) && !isDigest(last)) return refused(404, "MANIFEST_UNKNOWN");
      return inRepository({ kind: "manifest", repository, reference: last });
    case "blobs":
      if (!isDigest(last)) return refused(404, "BLOB_UNKNOWN");
      return inRepository({ kind: "blob", repository, digest: last });
    case "referrers":
      if (!isDigest(last)) return refused(404, "MANIFEST_UNKNOWN");
      return inRepository({ kind: "referrers", repository, digest: last });
    case "tags":
      return last === "list" ? inRepository({ kind: "tags", repository }) : refused(404, "NOT_FOUND");
    default:
      return refused(404, "NOT_FOUND");
  }
}

function parseUpload(segments: readonly string[]): PathOutcome | undefined {
  const isBegin = segments.at(-2) === "blobs" && segments.at(-1) === "uploads";
  if (isBegin) return inRepository({ kind: "upload", repository: segments.slice(0, -2).join("/"), id: undefined });
  if (segments.at(-3) !== "blobs" || segments.at(-2) !== "uploads") return undefined;
  const id = segments.at(-1) ?? "";
  if (id !== "" && !uploadGrammar.test(id)) return refused(404, "BLOB_UPLOAD_UNKNOWN");
  const repository = segments.slice(0, -3).join("/");
  return inRepository({ kind: "upload", repository, id: id === "" ? undefined : id });
}

function inRepository(route: Extract<RegistryRoute, { repository: string }>): PathOutcome {
  return isRepositoryName(route.repository) ? { kind: "route", route } : refused(400, "NAME_INVALID");
}

function refused(status: 400 | 404, code: Extract<PathOutcome, { kind: "refused" }>["code"]): PathOutcome {
  return { kind: "refused", status, code };
}

function decodeSegments(path: string): readonly string[] | undefined {
  try {
    return path.split("/").map(decodeSegment);
  } catch {
    // A broken escape is no path of a registry.
    return undefined;
  }
}

/** A segment with an escaped slash stays as it came: the grammar refuses its `%`. */
function decodeSegment(segment: string): string {
  const decoded = decodeURIComponent(segment);
  return decoded.includes("/") ? segment : decoded;
}
