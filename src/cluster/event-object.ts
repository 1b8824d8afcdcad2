import { formatMicroTime } from "./micro-time.ts";
import type { KubernetesObject } from "./object.ts";

export type ClusterEvent = {
  readonly regarding: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly name: string;
    readonly namespace?: string | undefined;
    readonly uid?: string | undefined;
  };
  readonly type: "Normal" | "Warning";
  /** One CamelCase word, stable. */
  readonly reason: string;
  /** One CamelCase word: what was being done. */
  readonly action: string;
  /** For people; cut at 1024 bytes; never a secret. */
  readonly note: string;
};

const noteLimitBytes = 1_024;

/**
 * Namespace and name of an Event object: the name is a DNS subdomain of at most 253 characters, whatever the object
 * is called that it is about.
 */
export function eventAddress(
  event: ClusterEvent,
  suffix: string,
): { readonly namespace: string; readonly name: string } {
  const { name, namespace } = event.regarding;
  const safe = name
    .toLowerCase()
    .replace(/[^a-z0-9.-]/g, "-")
    .slice(0, 200)
    .replace(/^[.-]+|[.-]+$/g, "");
  return {
    namespace: namespace === undefined || namespace === "" ? "default" : namespace,
    name: `${safe === "" ? "event" : safe}.${suffix}`,
  };
}

/** @param source.nowMs wall clock */
export function describeEvent(
  event: ClusterEvent,
  series: { readonly namespace: string; readonly name: string; readonly count: number },
  source: { readonly reportingController: string; readonly reportingInstance: string; readonly nowMs: number },
): KubernetesObject {
  const eventTime = formatMicroTime(source.nowMs);
  const { apiVersion, kind, name, namespace, uid } = event.regarding;
  return {
    metadata: { namespace: series.namespace, name: series.name },
    eventTime,
    reportingController: source.reportingController,
    reportingInstance: source.reportingInstance,
    type: event.type,
    reason: event.reason,
    action: event.action,
    note: cutBytes(event.note, noteLimitBytes),
    regarding: {
      apiVersion,
      kind,
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
    },
    ...(series.count > 1 ? { series: { count: series.count, lastObservedTime: eventTime } } : {}),
  };
}

/** The API server counts bytes; a character is never cut in two. */
function cutBytes(text: string, limitBytes: number): string {
  if (Buffer.byteLength(text) <= limitBytes) return text;
  const whole = new TextDecoder().decode(Buffer.from(text).subarray(0, limitBytes - 3), { stream: true });
  return `${whole}…`;
}
