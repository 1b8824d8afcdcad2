import { parseAllDocuments } from "yaml";
import type { KubernetesObject } from "../cluster/object.ts";
import { SlipwayError } from "../errors.ts";

/**
 * The Kubernetes objects of a YAML or JSON text: several documents, and Lists taken apart. Empty documents are left
 * out.
 *
 * @param origin names the text in errors
 * @throws SlipwayError CONFIG_INVALID for a text that is no YAML, or a document that is no Kubernetes object
 */
export function parseDocuments(text: string, origin: string): readonly KubernetesObject[] {
  const documents = parseAllDocuments(text, { logLevel: "silent" });
  return documents.flatMap((document, index) => {
    const where = `${origin}, document ${index + 1}`;
    const [fault] = document.errors;
    if (fault !== undefined) {
      throw new SlipwayError("CONFIG_INVALID", `${where}: is not YAML: ${fault.message.split("\n")[0]}`);
    }
    return objectsOf(
      readValue(() => document.toJS(), where),
      where,
    );
  });
}

/** An alias that expands without end is only found when the value is built. */
function readValue(read: () => unknown, where: string): unknown {
  try {
    return read();
  } catch (error) {
    throw new SlipwayError("CONFIG_INVALID", `${where}: cannot be read`, { cause: error });
  }
}

function objectsOf(value: unknown, where: string): readonly KubernetesObject[] {
  if (value === null || value === undefined) return [];
  if (!isRecord(value) || typeof value.kind !== "string") {
    throw new SlipwayError("CONFIG_INVALID", `${where}: is no Kubernetes object: it has no kind`);
  }
  if (value.kind.endsWith("List") && Array.isArray(value.items)) {
    // The items of a typed list (PodList) leave their own kind out.
    const { apiVersion } = value;
    const kind = value.kind.slice(0, -"List".length);
    return value.items.flatMap((item: unknown, index) =>
      objectsOf(isRecord(item) && kind !== "" ? { apiVersion, kind, ...item } : item, `${where}, item ${index}`),
    );
  }
  const metadata = isRecord(value.metadata) ? value.metadata : {};
  return [{ ...value, metadata: { name: "", ...metadata } }];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
