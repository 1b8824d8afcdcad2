import { createFault, isFault, type ReferenceFault, referenceError } from "./fault.ts";
import { canonicalRegistry, registryFault, registryLengthLimit } from "./host.ts";
import { pathFault, pathLengthLimit } from "./path.ts";
import {
  createReference,
  defaultRegistry,
  isIdentifier,
  officialPrefix,
  type Reference,
  readsAsHost,
} from "./reference.ts";
import { digestFault, tagFault } from "./suffix.ts";

/**
 * Parses an image reference the way the container runtime does: `nginx` is `docker.io/library/nginx`. Time is linear in
 * the length of `text`.
 *
 * @param text as in `spec.containers[].image`; at most 255 characters of path, 128 of tag
 * @throws SlipwayError REFERENCE_INVALID, which names the part that is wrong and where; never for an unknown host
 * @see https://github.com/distribution/reference/blob/main/reference.go (grammar in the header)
 */
export function parseReference(text: string): Reference {
  const result = readReference(text);
  if (isFault(result)) throw referenceError(result);
  return result;
}

/** As parseReference, with the fault as a value: for the hot path, where a bad reference is ordinary. */
export function readReference(text: string): Reference | ReferenceFault {
  if (text === "") return createFault("reference", 0, "is empty");
  if (isIdentifier(text)) return createFault("reference", 0, "is 64 hex characters, which could be an image's id");
  const slash = text.indexOf("/");
  if (slash < 0 || (slash <= registryLengthLimit && !readsAsHost(text.slice(0, slash))))
    return readRemainder(text, 0, defaultRegistry);
  const host = text.slice(0, slash);
  return registryFault(host) ?? readRemainder(text, slash + 1, canonicalRegistry(host));
}

/** Reads `path[:tag][@digest]`, which begins at `from`. */
function readRemainder(text: string, from: number, registry: string): Reference | ReferenceFault {
  const at = text.indexOf("@", from);
  const nameEnd = at < 0 ? text.length : at;
  const colon = text.indexOf(":", from);
  const pathEnd = colon < 0 || colon > nameEnd ? nameEnd : colon;
  const tagged = pathEnd < nameEnd;
  const fault =
    pathFault(text, from, pathEnd) ??
    (tagged ? tagFault(text, pathEnd + 1, nameEnd) : undefined) ??
    (at < 0 ? undefined : digestFault(text, at + 1));
  if (fault !== undefined) return fault;
  const written = text.slice(from, pathEnd);
  const path = registry === defaultRegistry && !written.includes("/") ? officialPrefix + written : written;
  if (path.length > pathLengthLimit) {
    return createFault("repository", from, `is longer than ${pathLengthLimit} characters`);
  }
  return createReference(
    registry,
    path,
    tagged ? text.slice(pathEnd + 1, nameEnd) : undefined,
    at < 0 ? undefined : text.slice(at + 1),
  );
}
