import type { IncomingMessage } from "node:http";
import { RegistryError } from "./registry-error.ts";

const manifestLimitBytes = 4 * 1024 * 1024;

/** Reads a whole body. @throws RegistryError when it is longer than `limitBytes` */
export async function readBody(response: IncomingMessage, limitBytes: number = manifestLimitBytes): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limitBytes) {
        const message = `the answer is longer than ${limitBytes} bytes`;
        throw new RegistryError({ status: response.statusCode ?? 0, code: "SIZE_INVALID", message });
      }
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof RegistryError) throw error;
    const message = "the connection broke in the middle of the answer";
    throw new RegistryError({ status: 0, code: "BODY_BROKEN", message, cause: error });
  }
  return Buffer.concat(chunks);
}

/** Lets a body go by; afterwards its connection can be used again. A body that breaks off is no fault here. */
export function discardBody(response: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    response.once("error", () => resolve());
    response.once("close", () => resolve());
    response.once("end", () => resolve());
    response.resume();
  });
}

/** What was asked, for error messages; the query is left out of them. */
export type Asked = { readonly origin: URL; readonly method: string; readonly path: string };

/** @throws RegistryError for every status that is not `expected`, and for a body that is not JSON */
export async function readJson(response: IncomingMessage, asked: Asked, expected: readonly number[]): Promise<unknown> {
  await expectStatus(response, asked, expected);
  const body = await readBody(response);
  try {
    return JSON.parse(body.toString("utf8"));
  } catch (error) {
    const message = `${asked.origin.origin} answered with something that is not JSON; is it a registry?`;
    throw new RegistryError({ status: response.statusCode ?? 0, code: "NOT_JSON", message, cause: error });
  }
}

/** @throws RegistryError with the OCI error code of the body for every status that is not `expected` */
export async function expectStatus(
  response: IncomingMessage,
  asked: Asked,
  expected: readonly number[],
): Promise<void> {
  const status = response.statusCode ?? 0;
  if (expected.includes(status)) return;
  const code = firstErrorCode(await readBody(response, 64 * 1024).catch(() => Buffer.alloc(0)));
  const path = asked.path.split("?")[0] ?? "";
  throw new RegistryError({
    status,
    code: code ?? `HTTP_${status}`,
    message: `${asked.origin.origin} answered ${status}${code === undefined ? "" : ` ${code}`} to ${asked.method} ${path}${status === 507 ? ": its storage is full" : ""}`,
    retryAfterMs: retryAfterMs(response.headers["retry-after"]),
  });
}

function firstErrorCode(body: Buffer): string | undefined {
  try {
    const parsed: unknown = JSON.parse(body.toString("utf8"));
    const code = (parsed as { errors?: { code?: unknown }[] } | null)?.errors?.[0]?.code;
    return typeof code === "string" && /^[A-Z_]{1,64}$/.test(code) ? code : undefined;
  } catch {
    return undefined; // a proxy's page in HTML: the status says it all
  }
}

function retryAfterMs(header: string | undefined): number | undefined {
  const seconds = Number(header);
  return header !== undefined && Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : undefined;
}
