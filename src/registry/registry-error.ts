/**
 * A registry's answer that is not a success, or none at all. Carries no headers and no body: only the code of the
 * OCI error, which is a fixed word.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
 */
export class RegistryError extends Error {
  override readonly name = "RegistryError";
  /** HTTP status; 0 when no answer came (refused, reset, timeout, a certificate that does not verify). */
  readonly status: number;
  /** First OCI error code, e.g. `MANIFEST_UNKNOWN`; the system's word when there was no answer, e.g. `ECONNREFUSED`. */
  readonly code: string;
  readonly retryAfterMs: number | undefined;

  constructor(fields: {
    readonly status: number;
    readonly code: string;
    readonly message: string;
    readonly retryAfterMs?: number | undefined;
    readonly cause?: unknown;
  }) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.status = fields.status;
    this.code = fields.code;
    this.retryAfterMs = fields.retryAfterMs;
  }
}

/** Whether trying again may help: no answer, 408, 429 and 5xx but 507, the storage that is full. */
export function isRetryable(error: unknown): boolean {
  if (!(error instanceof RegistryError)) return false;
  if (error.status === 507) return false;
  return error.status === 0 || error.status === 408 || error.status === 429 || error.status >= 500;
}

/** What a registry gives that is coming back; REGISTRY_UNREACHABLE is a tunnel without a ready pod. */
const passing: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "EPIPE",
  "ETIMEDOUT",
  "NO_ANSWER",
  "REGISTRY_UNREACHABLE",
  "TUNNEL_BROKEN",
]);

/** Whether waiting may help: a certificate that does not verify, or a name that does not resolve, stays as it is. */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof RegistryError)) return false;
  return error.status === 0 ? passing.has(error.code) : isRetryable(error);
}
