import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { answerHeaders } from "./forwarded-headers.ts";
import { errorsBody, type RegistryFault } from "./refusal.ts";

/** An answer of Distribution that says what is wrong. */
export type RegistryAnswer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** What came of the body, up to `faultLimitBytes`. */
  readonly body: Buffer;
};

/** What is said instead of a fault with this body; undefined: nothing, the fault is another one. */
export type Explain = (body: string) => RegistryFault | undefined;

/** Faults are short; of a longer one only the status is told. */
export const faultLimitBytes = 64 * 1024;

/** Whether the body of an answer says what is wrong. */
export function isFault(method: string | undefined, status: number): boolean {
  return status >= 400 && method !== "HEAD";
}

/**
 * Answers with a fault of Distribution in words that are for clients. Codes and messages are Distribution's, which are
 * those of the specification. A detail goes on when it is about what was asked for: with a 5xx, and where it names a
 * place, it is what Distribution's storage said (a path, a bucket), which is in Distribution's own log. What has no OCI
 * error body, since Go's own handlers answer in plain text, is given one by its status.
 *
 * @param explain asked first about a 5xx
 * @returns the status that was sent
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
 */
export function sendFault(response: ServerResponse, answer: RegistryAnswer, explain?: Explain): number {
  const { status, errors } = restate(answer, explain);
  const body = errorsBody(errors);
  response.writeHead(status, {
    ...faultHeaders(answer),
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  });
  response.end(body);
  return status;
}

type StatedError = { readonly code: string; readonly message: string; readonly detail: unknown };

function restate(
  { status, body }: RegistryAnswer,
  explain: Explain | undefined,
): { readonly status: number; readonly errors: readonly StatedError[] } {
  const text = body.toString("utf8");
  const explained = status >= 500 ? explain?.(text) : undefined;
  const stated = explained === undefined ? readErrors(text) : [];
  if (stated.length > 0) {
    const isTold = (detail: unknown): boolean => status < 500 && !namesPlace(detail);
    const errors = stated.map((error) => ({ ...error, detail: isTold(error.detail) ? error.detail : null }));
    return { status, errors };
  }
  const { status: told, error } = explained ?? plainFault(status);
  return { status: told, errors: [{ detail: null, ...error }] };
}

/** @returns none for what is no OCI error body */
function readErrors(text: string): readonly StatedError[] {
  try {
    const { errors } = JSON.parse(text) as { readonly errors?: unknown };
    return Array.isArray(errors) ? errors.flatMap(readError) : [];
  } catch {
    // Plain text, or cut off: the status says it.
    return [];
  }
}

function readError(value: unknown): readonly StatedError[] {
  if (typeof value !== "object" || value === null) return [];
  const { code, message, detail = null } = value as Record<string, unknown>;
  return typeof code === "string" && typeof message === "string" ? [{ code, message, detail }] : [];
}

/** An absolute path or a URL: names of repositories have their slashes between letters, and digests have none. */
function namesPlace(detail: unknown): boolean {
  return /(?<![\w.-])\/\w/.test(JSON.stringify(detail));
}

/** What an answer without an OCI error body says by its status alone. */
function plainFault(status: number): RegistryFault {
  if (status === 416) return { status, error: { code: "RANGE_INVALID", message: "the range is not in the content" } };
  if (status === 412) return { status, error: { code: "UNSUPPORTED", message: "a precondition does not hold" } };
  if (status === 404) return { status, error: { code: "NOT_FOUND", message: "the registry does not have it" } };
  if (status < 500) return { status, error: { code: "UNSUPPORTED", message: "the operation is unsupported" } };
  return { status, error: { code: "UNAVAILABLE", message: "the registry failed" } };
}

/** Those of the content, which is not sent: a cache would keep the fault for a year in its place. */
const contentHeaders = ["accept-ranges", "cache-control", "content-encoding", "etag", "last-modified"] as const;

function faultHeaders({ status, headers }: RegistryAnswer): OutgoingHttpHeaders {
  const kept = answerHeaders(status, headers);
  for (const name of contentHeaders) delete kept[name];
  return kept;
}
