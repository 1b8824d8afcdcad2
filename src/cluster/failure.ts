import type { IncomingHttpHeaders } from "node:http";
import { ApiError } from "./api.ts";
import { DeadlineError } from "./deadline.ts";
import { isRecord } from "./narrow.ts";

/**
 * What an error means, in ApiError's terms. The body of an answer goes no further than here: of a metav1.Status its
 * message, reason and causes are taken, of anything else (a proxy's page) nothing.
 *
 * @param where method and path, for the message
 * @param nowMs wall clock, for a Retry-After that is a date
 */
export function errorOfAnswer(
  answer: { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: string },
  where: string,
  nowMs: number,
): ApiError {
  const status = parseStatus(answer.body);
  const retryAfterMs = parseRetryAfter(answer.headers["retry-after"], nowMs) ?? secondsOf(status);
  const fallback = `${where}: HTTP ${answer.status}`;
  return errorOfStatus({ ...status, code: answer.status }, { fallback, retryAfterMs });
}

/** A metav1.Status, of an answer or of a watch's ERROR event. */
export function errorOfStatus(
  status: Record<string, unknown>,
  options: { readonly fallback: string; readonly retryAfterMs?: number | undefined },
): ApiError {
  return new ApiError({
    status: typeof status.code === "number" ? status.code : 500,
    reason: typeof status.reason === "string" ? status.reason : "",
    message: typeof status.message === "string" && status.message !== "" ? status.message : options.fallback,
    retryAfterMs: options.retryAfterMs ?? secondsOf(status),
    causes: causesOf(status),
  });
}

/**
 * No answer: `reason` is `Aborted` when the caller's signal did it, `Timeout` after our own deadline, else
 * `ConnectionLost`.
 */
export function errorOfSilence(error: unknown, where: string, signal: AbortSignal): ApiError {
  if (error instanceof ApiError) return error;
  if (signal.aborted) {
    return new ApiError({ status: 0, reason: "Aborted", message: `${where}: aborted`, cause: signal.reason });
  }
  if (error instanceof DeadlineError) {
    return new ApiError({ status: 0, reason: "Timeout", message: `${where}: no answer, ${error.message}` });
  }
  const message = `${where}: ${error instanceof Error ? error.message || error.name : "no answer"}`;
  return new ApiError({ status: 0, reason: "ConnectionLost", message, cause: error });
}

/** An answer that is no JSON, or not an object where one is due: `reason` is `Unreadable`. */
export function errorOfUnreadable(where: string): ApiError {
  const message = `${where}: the answer is not a Kubernetes object; is the server of the kubeconfig an API server?`;
  return new ApiError({ status: 0, reason: "Unreadable", message });
}

function parseStatus(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body);
    return isRecord(value) && value.kind === "Status" ? value : {};
  } catch {
    return {};
  }
}

function causesOf(status: Record<string, unknown>): string[] {
  const causes = isRecord(status.details) && Array.isArray(status.details.causes) ? status.details.causes : [];
  return causes.flatMap((cause) => (isRecord(cause) && typeof cause.reason === "string" ? [cause.reason] : []));
}

function secondsOf(status: Record<string, unknown>): number | undefined {
  const seconds = isRecord(status.details) ? status.details.retryAfterSeconds : undefined;
  return typeof seconds === "number" && seconds > 0 ? seconds * 1000 : undefined;
}

/** @see https://www.rfc-editor.org/rfc/rfc9110#name-retry-after */
function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const dateMs = Date.parse(value);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - nowMs);
}
