import { SlipwayError } from "../errors.ts";
import { parseReference } from "../reference/parse.ts";
import { formatFamiliar, type Reference, readsAsHost } from "../reference/reference.ts";
import { hostSegment } from "../reference/rewrite.ts";

/** Where an image goes in the local registry. */
export type Destination = { readonly repository: string; readonly tag: string };

const defaultTag = "latest";

/**
 * Decides the repository and tag of a pushed image.
 *
 * NAME may be `<namespace>/<name>[:tag]`, `<host>/<path>[:tag]` (its mirrored path is taken), or a reference at one of
 * the registry's own names. Without NAME an image with a registry host goes to its mirrored path; a bare local name is
 * refused, since `app/web` could be of Docker Hub or of namespace `app`.
 *
 * @param source what the archive or docker calls the image; undefined when it has no name
 * @param names the registry's own names, `host[:port]`
 * @throws SlipwayError DESTINATION_AMBIGUOUS, REFERENCE_INVALID
 */
export function decideDestination(
  source: string | undefined,
  name: string | undefined,
  names: readonly string[],
): Destination {
  if (name !== undefined) return fromName(name, source, names);
  if (source === undefined) {
    throw new SlipwayError("DESTINATION_AMBIGUOUS", "the archive does not name its image; add NAME, e.g. demo/app:1.0");
  }
  if (!hasHost(source)) throw refuseBare(source);
  const origin = parseReference(source);
  return { repository: mirroredPath(origin, names), tag: origin.tag ?? defaultTag };
}

function fromName(name: string, source: string | undefined, names: readonly string[]): Destination {
  // Below the first own name the path is taken as it is: the grammar is that of any reference.
  const wanted = parseReference(hasHost(name) ? name : `registry.invalid/${name}`);
  if (wanted.digest !== undefined) {
    throw new SlipwayError("DESTINATION_AMBIGUOUS", `${name}: NAME cannot carry a digest; it follows from the image`);
  }
  const repository = hasHost(name) ? mirroredPath(wanted, names) : wanted.path;
  if (!repository.includes("/")) {
    throw new SlipwayError(
      "DESTINATION_AMBIGUOUS",
      `${name}: a path of one segment belongs to no namespace; use <namespace>/${repository}`,
    );
  }
  return { repository, tag: wanted.tag ?? tagOf(source) ?? defaultTag };
}

function mirroredPath(origin: Reference, names: readonly string[]): string {
  const host = origin.registry.toLowerCase();
  if (names.some((name) => name.toLowerCase() === host)) {
    if (origin.path.includes("/")) return origin.path;
    throw new SlipwayError(
      "DESTINATION_AMBIGUOUS",
      `${origin.registry}/${origin.path}: a path of one segment belongs to no namespace; use <namespace>/${origin.path}`,
    );
  }
  const segment = hostSegment(origin.registry);
  if (segment !== undefined) return `${segment}/${origin.path}`;
  throw new SlipwayError(
    "DESTINATION_AMBIGUOUS",
    `${origin.registry}: images of this registry have no mirrored path, since it has neither dot nor port; add NAME, e.g. demo/app:1.0`,
  );
}

function hasHost(text: string): boolean {
  const slash = text.indexOf("/");
  return slash > 0 && readsAsHost(text.slice(0, slash));
}

function tagOf(source: string | undefined): string | undefined {
  return source === undefined ? undefined : parseReference(source).tag;
}

function refuseBare(source: string): SlipwayError {
  const origin = parseReference(source);
  const short = formatFamiliar(origin);
  const last = short.slice(short.lastIndexOf("/") + 1);
  return new SlipwayError(
    "DESTINATION_AMBIGUOUS",
    `${source} could be an image of Docker Hub or one of your own; add NAME: docker.io/${origin.path}${origin.tag === undefined ? "" : `:${origin.tag}`} for the mirrored path, or <namespace>/${last}`,
  );
}
