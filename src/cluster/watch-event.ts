import type { ApiError } from "./api.ts";
import { errorOfStatus } from "./failure.ts";
import { isObject } from "./list.ts";
import { isRecord } from "./narrow.ts";
import type { KubernetesObject } from "./object.ts";

export type WatchEvent =
  | { readonly kind: "set"; readonly object: KubernetesObject; readonly resourceVersion: string }
  | { readonly kind: "delete"; readonly object: KubernetesObject; readonly resourceVersion: string }
  | { readonly kind: "bookmark"; readonly resourceVersion: string }
  | { readonly kind: "error"; readonly error: ApiError }
  /** Not JSON, or not an event: nothing that can be acted on. */
  | { readonly kind: "unreadable" };

/**
 * Reads one line of a watch.
 *
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 */
export function parseWatchEvent(line: string): WatchEvent {
  const event = parse(line);
  if (!isRecord(event) || !isRecord(event.object)) return { kind: "unreadable" };
  const { type, object } = event;
  if (type === "ERROR") return { kind: "error", error: errorOfStatus(object, { fallback: "error event in a watch" }) };
  const resourceVersion = isRecord(object.metadata) ? object.metadata.resourceVersion : undefined;
  if (typeof resourceVersion !== "string") return { kind: "unreadable" };
  if (type === "BOOKMARK") return { kind: "bookmark", resourceVersion };
  if (!isObject(object)) return { kind: "unreadable" };
  if (type === "ADDED" || type === "MODIFIED") return { kind: "set", object, resourceVersion };
  if (type === "DELETED") return { kind: "delete", object, resourceVersion };
  return { kind: "unreadable" };
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
