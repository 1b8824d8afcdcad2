import type { Labels } from "./scope.ts";
import type { PodPlacement } from "./world.ts";

/** The parts of a pod that admission reads, narrowed from whatever was sent. Nothing here is ever sent back. */
export type PodReading = {
  readonly metadata: unknown;
  readonly labels: Labels;
  readonly annotations: Readonly<Record<string, unknown>>;
  readonly spec: Readonly<Record<string, unknown>>;
};

export type ImageList = "initContainers" | "containers" | "ephemeralContainers" | "volumes";

/** One field that holds an image reference. */
export type ImageField = {
  readonly list: ImageList;
  readonly index: number;
  /** Of the container or volume; admission runs before names are validated. */
  readonly name: string | undefined;
  readonly value: unknown;
};

const none: Readonly<Record<string, never>> = Object.freeze({});
const imageLists: readonly ImageList[] = ["initContainers", "containers", "ephemeralContainers", "volumes"];

/** @returns undefined when the value has no `spec` and so is not shaped like a pod */
export function readPod(value: unknown): PodReading | undefined {
  if (!isRecord(value) || !isRecord(value.spec)) return undefined;
  const metadata = value.metadata;
  const { labels, annotations } = isRecord(metadata) ? metadata : none;
  return {
    metadata,
    labels: isRecord(labels) ? (labels as Labels) : none,
    annotations: isRecord(annotations) ? annotations : none,
    spec: value.spec,
  };
}

/** Every field of the pod that holds an image reference, or could: containers of all kinds and image volumes. */
export function imageFields(spec: PodReading["spec"], lists: readonly ImageList[] = imageLists): ImageField[] {
  const fields: ImageField[] = [];
  for (const list of lists) {
    const entries = spec[list];
    if (!Array.isArray(entries)) continue;
    for (let index = 0; index < entries.length; index++) {
      const field = readField(list, index, entries[index]);
      if (field !== undefined) fields.push(field);
    }
  }
  return fields;
}

function readField(list: ImageList, index: number, entry: unknown): ImageField | undefined {
  if (!isRecord(entry)) return undefined;
  const name = typeof entry.name === "string" ? entry.name : undefined;
  if (list !== "volumes") return { list, index, name, value: entry.image };
  return isRecord(entry.image) ? { list, index, name, value: entry.image.reference } : undefined;
}

/** The JSON pointer from the pod down to the reference; none of its keys needs escaping. */
export function fieldPointer({ list, index }: ImageField): string {
  return `/spec/${list}/${index}/image${list === "volumes" ? "/reference" : ""}`;
}

/** `spec.containers[0].image`, `spec.volumes[2].image.reference`. */
export function fieldPath({ list, index }: ImageField): string {
  return `spec.${list}[${index}].image${list === "volumes" ? ".reference" : ""}`;
}

/** @see https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-config-mirror */
export function isMirrorPod(pod: PodReading): boolean {
  return Object.hasOwn(pod.annotations, "kubernetes.io/config.mirror");
}

/** @see https://kubernetes.io/docs/concepts/windows/intro/ (spec.os.name, and the label that the scheduler needs) */
export function isWindowsPod({ spec }: PodReading): boolean {
  if (isRecord(spec.os) && spec.os.name === "windows") return true;
  return isRecord(spec.nodeSelector) && spec.nodeSelector["kubernetes.io/os"] === "windows";
}

/** ServiceAccount admission ran before and filled the name in; without it the account is `default`. */
export function serviceAccountOf({ spec }: PodReading): string {
  return typeof spec.serviceAccountName === "string" && spec.serviceAccountName !== ""
    ? spec.serviceAccountName
    : "default";
}

/** What decides on which nodes the pod may run, as far as the gate asks. */
export function placementOf({ spec }: PodReading): PodPlacement {
  const affinity = isRecord(spec.affinity) ? spec.affinity.nodeAffinity : undefined;
  return {
    nodeName: typeof spec.nodeName === "string" && spec.nodeName !== "" ? spec.nodeName : undefined,
    nodeSelector: isRecord(spec.nodeSelector) ? stringsOf(spec.nodeSelector) : none,
    requiredNodeAffinity: isRecord(affinity) ? affinity.requiredDuringSchedulingIgnoredDuringExecution : undefined,
    tolerations: Array.isArray(spec.tolerations) ? spec.tolerations : [],
  };
}

function stringsOf(record: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  const strings = Object.entries(record).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return Object.fromEntries(strings);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
