import type { KubernetesObject } from "../cluster/object.ts";
import type { Compiled } from "./compiled.ts";
import { compiledSecretName, managedByLabel, managedByValue, systemNamespace } from "./names.ts";

const dataKey = "compiled.json";

/** The Secret that carries `compiled`; the same content gives the same bytes. */
export function compiledSecret(compiled: Compiled, namespace: string = systemNamespace): KubernetesObject {
  return {
    metadata: { name: compiledSecretName, namespace, labels: { [managedByLabel]: managedByValue } },
    type: "Opaque",
    data: { [dataKey]: Buffer.from(canonicalJson(compiled)).toString("base64") },
  };
}

/** @returns undefined when the Secret is absent, not ours, or holds nothing that can be read */
export function readCompiled(secret: KubernetesObject | undefined): Compiled | undefined {
  const encoded = (secret?.data as Record<string, unknown> | undefined)?.[dataKey];
  if (typeof encoded !== "string") return undefined;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(encoded, "base64").toString("utf8"));
    return isCompiled(parsed) ? parsed : undefined;
  } catch {
    return undefined; // what cannot be read is compiled anew by the leader; the caller reports the absence
  }
}

function isCompiled(value: unknown): value is Compiled {
  if (typeof value !== "object" || value === null) return false;
  const { revision, registry, credentials, rewrites } = value as Record<string, unknown>;
  return (
    typeof revision === "number" &&
    typeof registry === "object" &&
    Array.isArray(credentials) &&
    Array.isArray(rewrites)
  );
}

/** Whether two compiled states say the same, whatever their revision. */
export function sameContent(left: Compiled | undefined, right: Compiled): boolean {
  return left !== undefined && canonicalJson({ ...left, revision: 0 }) === canonicalJson({ ...right, revision: 0 });
}

/** JSON with the keys of every object sorted, so that equal values are equal bytes. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([left], [right]) => (left < right ? -1 : 1)))
      : inner,
  );
}
