import type { KubernetesObject } from "../cluster/object.ts";
import type { ObservedStore } from "../cluster/store.ts";
import {
  contentHashAnnotation,
  fieldManager,
  managedByLabel,
  managedByValue,
  namespaceUidAnnotation,
  revisionAnnotation,
} from "../config/names.ts";

export type ObservedNamespace = {
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly terminating: boolean;
};

/**
 * What the metadata of a Secret of our name tells, without its content. Annotations count only while our field
 * manager owns them: a value that somebody else wrote says nothing about what we wrote.
 */
export type ObservedSecret = {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Whether it carries our marker: without it, it is somebody else's. */
  readonly ours: boolean;
  readonly deleting: boolean;
  readonly revision: number | undefined;
  readonly contentHash: string | undefined;
  readonly namespaceUid: string | undefined;
  /** Keys of `data` that our field manager owns, sorted: whoever changes a value takes its key from us. */
  readonly ownedDataKeys: readonly string[];
};

/** The projection of a reflector over the metadata of all namespaces. */
export function observeNamespace(object: KubernetesObject): ObservedNamespace {
  const { name, uid = "", labels = {}, annotations = {}, deletionTimestamp } = object.metadata;
  return { name, uid, labels, annotations, terminating: deletionTimestamp !== undefined };
}

/**
 * The projection of a reflector over the metadata of Secrets of one name.
 *
 * @see https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
 */
export function observeSecret(object: KubernetesObject): ObservedSecret {
  const { name, namespace = "", uid = "", resourceVersion = "", labels, annotations = {} } = object.metadata;
  const owned = ownedFields(object.metadata.managedFields ?? []);
  const ownedAnnotations = fieldNames(child(child(owned, "metadata"), "annotations"));
  const annotation = (key: string) => (ownedAnnotations.includes(key) ? annotations[key] : undefined);
  const revision = annotation(revisionAnnotation);
  return {
    namespace,
    name,
    uid,
    resourceVersion,
    ours: labels?.[managedByLabel] === managedByValue,
    deleting: object.metadata.deletionTimestamp !== undefined,
    revision: revision !== undefined && /^[0-9]{1,15}$/.test(revision) ? Number(revision) : undefined,
    contentHash: annotation(contentHashAnnotation),
    namespaceUid: annotation(namespaceUidAnnotation),
    ownedDataKeys: fieldNames(child(owned, "data")).sort(),
  };
}

/**
 * The highest revision that any of our Secrets was written from. Whoever counts revisions anew, because the compiled
 * state was lost, goes on above it: else Secrets with a higher one would be taken for newer.
 */
export function highestRevision(store: ObservedStore<ObservedSecret>): number {
  return store.list().reduce((highest, { ours, revision }) => Math.max(highest, (ours && revision) || 0), 0);
}

type Fields = Readonly<Record<string, unknown>>;

/** `fieldsV1` of what our field manager applied. */
function ownedFields(managedFields: readonly unknown[]): Fields {
  for (const entry of managedFields) {
    const { manager, operation, subresource, fieldsV1 } = asFields(entry);
    if (manager === fieldManager && operation === "Apply" && !subresource) return asFields(fieldsV1);
  }
  return {};
}

function child(fields: Fields, name: string): Fields {
  return asFields(fields[`f:${name}`]);
}

function fieldNames(fields: Fields): string[] {
  return Object.keys(fields).flatMap((key) => (key.startsWith("f:") ? [key.slice(2)] : []));
}

function asFields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}
