/**
 * One operation of a JSON Patch, of the three kinds that Slipway uses. There is no `test`: a failing one would reject
 * the pod.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6902
 */
export type PatchOperation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: unknown }
  | { readonly op: "remove"; readonly path: string };

/**
 * A JSON pointer: `~` becomes `~0`, then `/` becomes `~1`.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6901#section-3
 */
export function pointer(...keys: readonly (string | number)[]): string {
  return keys.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

/**
 * Sets an image or a volume's reference; the field is there, since its value was read.
 *
 * @param path a JSON pointer
 */
export function replaceValue(path: string, value: string): PatchOperation {
  return { op: "replace", path, value };
}

/**
 * Appends a name to `spec.imagePullSecrets`; the list is added first when it is missing.
 *
 * @param list the present value: a list, or undefined or null
 */
export function appendPullSecret(list: unknown, name: string): readonly PatchOperation[] {
  const append: PatchOperation = { op: "add", path: "/spec/imagePullSecrets/-", value: { name } };
  return Array.isArray(list) ? [append] : [{ op: "add", path: "/spec/imagePullSecrets", value: [] }, append];
}

/**
 * Sets an annotation (undefined removes it); missing parents are added first.
 *
 * @param metadata the present value: a map, or undefined or null; its annotations likewise
 */
export function setAnnotation(metadata: unknown, key: string, value: string | undefined): readonly PatchOperation[] {
  const annotations = isMap(metadata) ? metadata.annotations : undefined;
  const path = pointer("metadata", "annotations", key);
  if (value === undefined) {
    return isMap(annotations) && Object.hasOwn(annotations, key) ? [{ op: "remove", path }] : [];
  }
  const parents: PatchOperation[] = [];
  if (!isMap(metadata)) parents.push({ op: "add", path: "/metadata", value: {} });
  if (!isMap(annotations)) parents.push({ op: "add", path: "/metadata/annotations", value: {} });
  return [...parents, { op: "add", path, value }];
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
