import type { KubernetesObject } from "../cluster/object.ts";

/** One pod that an object is or makes. */
export type PodSource = {
  /** For people: `Deployment web`. */
  readonly owner: string;
  /** What to put before a path of the pod to have it in the object: "" or `spec.template.`. */
  readonly prefix: string;
  /** As the object says; undefined: it does not. */
  readonly namespace: string | undefined;
  /** `metadata` and `spec`. */
  readonly pod: Readonly<Record<string, unknown>>;
};

const depthLimit = 12;

/**
 * Every pod and pod template of an object, of whatever kind: something below it with a `spec` that has `containers`.
 * So Deployments and CronJobs are read as well as kinds that nobody here has heard of.
 */
export function findPods(object: KubernetesObject): readonly PodSource[] {
  const owner = `${object.kind} ${object.metadata.name || "(without a name)"}`;
  const namespace = object.metadata.namespace === "" ? undefined : object.metadata.namespace;
  return findTemplates(object, "", depthLimit, object.kind === "Pod").map(({ prefix, pod }) => ({
    owner,
    prefix,
    namespace,
    pod,
  }));
}

type Template = Pick<PodSource, "prefix" | "pod">;

function findTemplates(value: unknown, prefix: string, depth: number, isPod: boolean): readonly Template[] {
  if (depth === 0 || typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) {
    return value.flatMap((entry, index) => findTemplates(entry, `${prefix.slice(0, -1)}[${index}].`, depth - 1, false));
  }
  const record = value as Readonly<Record<string, unknown>>;
  if (isPod || hasContainers(record.spec)) return [{ prefix, pod: record }];
  return Object.entries(record).flatMap(([key, entry]) => findTemplates(entry, `${prefix}${key}.`, depth - 1, false));
}

function hasContainers(spec: unknown): boolean {
  if (typeof spec !== "object" || spec === null) return false;
  const { containers } = spec as { containers?: unknown };
  return Array.isArray(containers) && containers.length > 0;
}
