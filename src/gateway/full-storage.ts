import type { RegistryFault } from "./refusal.ts";

/** What a filesystem says, through Distribution, when nothing more can be written (ENOSPC, EDQUOT). */
const full = /no space left on device|disk quota exceeded/;

/**
 * Distribution answers 500 "unknown error" to a write that did not fit, with a path of its own in the detail. Clients
 * show the status of such answers and nothing else: 507 Insufficient Storage says what is wrong.
 *
 * @param body of an answer with 5xx
 * @returns what is answered instead; undefined: the fault is another one
 * @see https://www.rfc-editor.org/rfc/rfc4918#section-11.5
 */
export function explainFullStorage(body: string): RegistryFault | undefined {
  if (!full.test(body)) return undefined;
  const message = "the registry's storage is full; delete images that are not needed, or enlarge its volume";
  return { status: 507, error: { code: "UNAVAILABLE", message } };
}
