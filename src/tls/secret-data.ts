import type { KubernetesObject } from "../cluster/object.ts";

/** One value of a Secret's `data` as text; "" when the Secret, the key or a readable value is missing. */
export function secretValue(secret: KubernetesObject | undefined, key: string): string {
  const data = secret?.data;
  if (typeof data !== "object" || data === null || !Object.hasOwn(data, key)) return "";
  const value = (data as Record<string, unknown>)[key];
  return typeof value === "string" ? Buffer.from(value, "base64").toString("utf8") : "";
}
