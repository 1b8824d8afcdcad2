import type { KubernetesObject } from "../cluster/object.ts";
import { originalImagesAnnotation } from "../config/names.ts";

type Named = { readonly name?: unknown; readonly image?: unknown };

/**
 * A pod of the cluster as it was sent, as far as its annotation tells: the references of before stand in it, so that
 * explain can say what became of them. Without the annotation it is the pod as it is.
 */
export function asSent(pod: KubernetesObject): KubernetesObject {
  const originals = readOriginals(pod.metadata.annotations?.[originalImagesAnnotation]);
  if (originals === undefined) return pod;
  const spec = (pod.spec ?? {}) as Readonly<Record<string, unknown>>;
  const containers = (list: unknown) =>
    mapNamed(list, (entry) => {
      const image = textAt(originals.containers, entry.name);
      return image === undefined ? entry : { ...entry, image };
    });
  const volumes = mapNamed(spec.volumes, (entry) => {
    const reference = textAt(originals.volumes, entry.name);
    const isImage = typeof entry.image === "object" && entry.image !== null;
    return reference === undefined || !isImage ? entry : { ...entry, image: { ...(entry.image as object), reference } };
  });
  return {
    ...pod,
    spec: {
      ...spec,
      containers: containers(spec.containers),
      ...(spec.initContainers === undefined ? {} : { initContainers: containers(spec.initContainers) }),
      ...(spec.volumes === undefined ? {} : { volumes }),
    },
  };
}

function mapNamed(list: unknown, change: (entry: Named) => unknown): unknown {
  if (!Array.isArray(list)) return list;
  return list.map((entry: unknown) => (typeof entry === "object" && entry !== null ? change(entry) : entry));
}

function textAt(map: unknown, name: unknown): string | undefined {
  if (typeof map !== "object" || map === null || typeof name !== "string" || !Object.hasOwn(map, name))
    return undefined;
  const value = (map as Readonly<Record<string, unknown>>)[name];
  return typeof value === "string" ? value : undefined;
}

function readOriginals(text: string | undefined): { containers?: unknown; volumes?: unknown } | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined; // anybody can write the annotation; what is no JSON tells nothing
  }
}
