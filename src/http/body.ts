import type { IncomingMessage } from "node:http";

/** An AdmissionReview holds the object twice on UPDATE; etcd ends at 1.5 MiB for one. */
export const reviewLimitBytes = 8 * 1024 * 1024;

export type BodyOutcome =
  | { readonly kind: "body"; readonly bytes: Buffer }
  | { readonly kind: "refused"; readonly status: 400 | 408 | 413 | 415; readonly reason: string }
  /** The client went away in the middle: there is nobody to answer. */
  | { readonly kind: "aborted" };

/**
 * Reads a whole request body.
 *
 * @param expected.contentType compared without parameters; absent: any
 * @param expected.withinMs absent: as long as it takes
 * @returns `refused` 413 beyond `limitBytes`, 400 for none, 415 for another content type, 408 for one that has not ended
 *   within `withinMs`. After a refusal the rest of the body is thrown away, so that the answer can be read.
 */
export async function readBody(
  request: IncomingMessage,
  expected: { readonly limitBytes: number; readonly contentType?: string; readonly withinMs?: number },
): Promise<BodyOutcome> {
  const { limitBytes, contentType } = expected;
  const given = (request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase();
  if (contentType !== undefined && given !== contentType) {
    return refuse(request, 415, `the content type has to be ${contentType}`);
  }
  const tooLarge = `the body is larger than ${limitBytes} bytes`;
  if (Number(request.headers["content-length"] ?? 0) > limitBytes) return refuse(request, 413, tooLarge);
  const collecting = collect(request, limitBytes, tooLarge);
  if (expected.withinMs === undefined) return collecting;
  const { promise, resolve } = Promise.withResolvers<BodyOutcome>();
  const timer = setTimeout(() => resolve(refuse(request, 408, "the body did not come in time")), expected.withinMs);
  try {
    return await Promise.race([collecting, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** By events: an async iterator costs a tenth of the webhook's throughput. */
function collect(request: IncomingMessage, limitBytes: number, tooLarge: string): Promise<BodyOutcome> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limitBytes) {
        chunks.push(chunk);
        return;
      }
      request.off("data", onData);
      resolve(refuse(request, 413, tooLarge));
    };
    request.on("data", onData);
    request.once("end", () => {
      if (size === 0) resolve({ kind: "refused", status: 400, reason: "the body is empty" });
      else resolve({ kind: "body", bytes: Buffer.concat(chunks, size) });
    });
    // The only failure of an incoming message is its connection; after an answer these change nothing.
    request.once("error", () => resolve({ kind: "aborted" }));
    request.once("close", () => resolve({ kind: "aborted" }));
  });
}

function refuse(request: IncomingMessage, status: 400 | 408 | 413 | 415, reason: string): BodyOutcome {
  request.resume();
  return { kind: "refused", status, reason };
}
