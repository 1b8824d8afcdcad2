import type { Condition } from "../config/condition.ts";
import { checkNamespace } from "../config/names.ts";
import type { RegistryClient } from "./client.ts";
import { RegistryError } from "./registry-error.ts";

const failures = ["WriteFailed", "Unreachable", "LoginRefused"] as const;
type Failure = (typeof failures)[number];

export type StorageCheck =
  | { readonly kind: "writable" }
  | { readonly kind: "failed"; readonly reason: Failure; readonly message: string };

/** Two segments: a path of one belongs to nobody. Nothing stays there, and `_catalog` never lists it. */
const checkRepository = `${checkNamespace}/storage`;

/**
 * Begins an upload and cancels it, through the gateway as admin: a volume that Distribution's user cannot write
 * answers `/` with 200 all the same.
 */
export async function checkStorage(
  client: Pick<RegistryClient, "tryUpload">,
  signal: AbortSignal,
): Promise<StorageCheck> {
  try {
    await client.tryUpload(checkRepository, signal);
    return { kind: "writable" };
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    return { kind: "failed", ...explain(error) };
  }
}

/**
 * What an earlier process found, by the condition `StorageReady` that it wrote; for while nothing may be tried.
 *
 * @returns undefined where the condition speaks of something else than a write
 */
export function recallStorage(conditions: readonly Condition[]): StorageCheck | undefined {
  const found = conditions.find(({ type }) => type === "StorageReady");
  if (found?.status === "True") return { kind: "writable" };
  const reason = failures.find((each) => each === found?.reason);
  return reason === undefined || found === undefined ? undefined : { kind: "failed", reason, message: found.message };
}

function explain(error: RegistryError): { readonly reason: Failure; readonly message: string } {
  if (error.status === 0) return { reason: "Unreachable", message: error.message };
  if (error.status === 401 || error.status === 403) {
    const message = `the registry refuses the login of Secret slipway-registry-admin (${error.status} ${error.code})`;
    return { reason: "LoginRefused", message };
  }
  const message = `an upload could not be begun or cancelled (${error.status} ${error.code}): see that the volume is not full, and that group 65532 may write it, or the bucket's credentials`;
  return { reason: "WriteFailed", message };
}
