import type { RegistryFault } from "./refusal.ts";

/** What a filesystem says, through Distribution, when nothing more can be written (ENOSPC, EDQUOT). */
const full = /no space left on device|disk quota exceeded/;

/**
 * Says in other words what Distribution answers with 500 "unknown error" and a path of its own in the detail, though
 * it is nothing unknown: a write that did not fit is 507 Insufficient Storage, since clients show the status of a 5xx
 * and nothing else; a layer with URLs, which Distribution takes from nobody unless it is told to, is an invalid manifest.
 *
 * @param body of an answer with 5xx to a write
 * @returns what is answered instead; undefined: the fault is another one
 * @see https://www.rfc-editor.org/rfc/rfc4918#section-11.5
 */
export function explainWriteFault(body: string): RegistryFault | undefined {
  if (full.test(body)) {
    const message = "the registry's storage is full; delete images that are not needed, or enlarge its volume";
    return { status: 507, error: { code: "UNAVAILABLE", message } };
  }
  if (body.includes("invalid URL on layer")) {
    return { status: 400, error: { code: "MANIFEST_INVALID", message: "layers with URLs are not taken" } };
  }
  return undefined;
}
