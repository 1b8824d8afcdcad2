import { originalImagesAnnotation } from "../config/names.ts";
import { changesReference } from "./decision.ts";
import { type InspectedImage, type Inspection, updatable } from "./inspect.ts";
import { type ImageField, type ImageList, imageFields, type PodReading } from "./pod.ts";
import { isMadeOf } from "./restore.ts";

/** All keys and values of one object's annotations, in bytes. @see https://github.com/kubernetes/apimachinery/blob/master/pkg/api/validation/objectmeta.go (TotalAnnotationSizeLimitB) */
const totalAnnotationLimitBytes = 256 * 1024;

/**
 * The originals of the references that a pod was admitted with:
 * `{"containers":{"name":"ref"},"volumes":{"name":"ref"}}`. Information for people; nothing is decided by it.
 */
type Originals = { readonly containers: Map<string, string>; readonly volumes: Map<string, string> };

/** What becomes of the annotation: `value` undefined means that it goes. */
export type OriginalsStep =
  | { readonly kind: "unchanged" }
  | { readonly kind: "set"; readonly value: string | undefined; readonly isTooLarge: boolean };

/**
 * On CREATE the annotation is written anew, so that a foreign one goes; on UPDATE only the entries of the references that
 * changed are. An entry stays where its reference is what the mapping makes the present one of: a second pass changes
 * nothing. Nor does an entry change whose name two containers have, of which an update may bring one alone; the API
 * server is about to refuse such a pod.
 */
export function annotationStep(pod: PodReading, inspection: Inspection): OriginalsStep {
  if (inspection.change.kind === "update" && inspection.images.length === 0) return { kind: "unchanged" };
  const before = readOriginals(annotationOf(pod));
  const after = createOriginals(inspection.change.kind === "create" ? undefined : before);
  const found = { containers: new Map<string, string | undefined>(), volumes: new Map<string, string | undefined>() };
  const isShared = inspection.change.kind === "update" ? sharedNames(pod) : () => false;
  for (const image of inspection.images) {
    const { name, list } = image.field;
    if (name === undefined || list === "ephemeralContainers" || isShared(image.field)) continue;
    const section = sectionOf(list);
    found[section].set(name, originalOf(image, before[section].get(name), inspection));
  }
  for (const section of sections) {
    for (const [name, entry] of found[section]) {
      if (entry === undefined) after[section].delete(name);
      else after[section].set(name, entry);
    }
  }
  return compare(pod, after);
}

function sharedNames({ spec }: PodReading): (field: ImageField) => boolean {
  const counts = new Map<string, number>();
  const key = ({ list, name }: ImageField) => `${sectionOf(list)}/${name}`;
  for (const field of imageFields(spec, updatable)) {
    counts.set(key(field), (counts.get(key(field)) ?? 0) + 1);
  }
  return (field) => (counts.get(key(field)) ?? 0) > 1;
}

function originalOf({ decision }: InspectedImage, entry: string | undefined, made: Inspection): string | undefined {
  if (decision.outcome === "put-back") return entry;
  const stays = decision.outcome !== "rewritten" && entry !== undefined && isMadeOf(entry, decision.result, made);
  if (stays) return entry;
  return changesReference(decision.outcome) ? decision.original : undefined;
}

function createOriginals(from?: Originals): Originals {
  return { containers: new Map(from?.containers), volumes: new Map(from?.volumes) };
}

/** Reads the annotation's text; what is not in its form is ignored, whoever wrote it. */
function readOriginals(text: unknown): Originals {
  const originals = createOriginals();
  if (typeof text !== "string") return originals;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return originals;
  }
  const { containers, volumes } = Object(value) as { containers?: unknown; volumes?: unknown };
  readSection(containers, originals.containers);
  readSection(volumes, originals.volumes);
  return originals;
}

/** Compares what should be there with what is; a value that would pass the size limit of annotations is left out. */
function compare(pod: PodReading, originals: Originals): OriginalsStep {
  const present = annotationOf(pod);
  const wanted = formatOriginals(originals);
  if (wanted === present) return { kind: "unchanged" };
  const isTooLarge = wanted !== undefined && !fits(pod, wanted);
  const value = isTooLarge ? undefined : wanted;
  return value === undefined && present === undefined && !isTooLarge
    ? { kind: "unchanged" }
    : { kind: "set", value, isTooLarge };
}

function annotationOf({ annotations }: PodReading): unknown {
  return Object.hasOwn(annotations, originalImagesAnnotation) ? annotations[originalImagesAnnotation] : undefined;
}

const sections = ["containers", "volumes"] as const;

function sectionOf(list: ImageList): (typeof sections)[number] {
  return list === "volumes" ? "volumes" : "containers";
}

function formatOriginals({ containers, volumes }: Originals): string | undefined {
  if (containers.size === 0 && volumes.size === 0) return undefined;
  return JSON.stringify({
    ...(containers.size === 0 ? {} : { containers: Object.fromEntries(containers) }),
    ...(volumes.size === 0 ? {} : { volumes: Object.fromEntries(volumes) }),
  });
}

function readSection(value: unknown, into: Map<string, string>): void {
  if (typeof value !== "object" || value === null) return;
  for (const [name, original] of Object.entries(value)) {
    if (typeof original === "string") into.set(name, original);
  }
}

function fits({ annotations }: PodReading, value: string): boolean {
  let bytes = Buffer.byteLength(originalImagesAnnotation) + Buffer.byteLength(value);
  for (const [key, text] of Object.entries(annotations)) {
    if (key === originalImagesAnnotation) continue;
    bytes += Buffer.byteLength(key) + (typeof text === "string" ? Buffer.byteLength(text) : 0);
  }
  return bytes <= totalAnnotationLimitBytes;
}
