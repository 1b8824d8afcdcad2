import type { KubernetesObject } from "../cluster/object.ts";
import type { RegistryKey } from "../config/compiled.ts";

/** The key of the Secret's data that holds the generations. */
export const keysDataKey = "keys.json";

/** Current and previous: what the gateways accept. */
const keptGenerations = 2;
const keyBytes = 32;

/**
 * The key generations in Secret `slipway-registry-keys`, newest first:
 * `{"generations":[{"generation":1,"secret":"<base64 of 32 bytes>"}]}`.
 *
 * @returns undefined when the Secret is absent or holds anything else
 */
export function readRegistryKeys(secret: KubernetesObject | undefined): readonly RegistryKey[] | undefined {
  const encoded = (secret?.data as Readonly<Record<string, unknown>> | undefined)?.[keysDataKey];
  if (typeof encoded !== "string") return undefined;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(encoded, "base64").toString("utf8"));
    const generations = (parsed as { readonly generations?: unknown } | null)?.generations;
    if (!Array.isArray(generations) || generations.length === 0 || !generations.every(isKey)) return undefined;
    return generations.map(({ generation, secret: bytes }) => ({ generation, secret: bytes }));
  } catch {
    return undefined; // what is no JSON is no key; the caller reports it
  }
}

function isKey(value: unknown): value is RegistryKey {
  const { generation, secret } = (value ?? {}) as Record<string, unknown>;
  if (typeof generation !== "number" || !Number.isInteger(generation) || generation < 1) return false;
  return typeof secret === "string" && Buffer.from(secret, "base64").length === keyBytes;
}

/** The content of `keys.json`. */
export function writeRegistryKeys(keys: readonly RegistryKey[]): string {
  return JSON.stringify({ generations: keys.map(({ generation, secret }) => ({ generation, secret })) });
}

/**
 * A new generation in front; the one before it stays accepted, older ones go.
 *
 * @param random 32 random bytes
 */
export function nextGeneration(keys: readonly RegistryKey[], random: Buffer): readonly RegistryKey[] {
  const newest = keys[0]?.generation ?? 0;
  return [{ generation: newest + 1, secret: random.toString("base64") }, ...keys].slice(0, keptGenerations);
}
