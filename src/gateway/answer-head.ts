import type { IncomingHttpHeaders } from "node:http";

/** The head of an HTTP/1.1 answer whose end can be told. */
export type AnswerHead = {
  readonly status: number;
  /** Names in lower case; a header that came twice is joined by `, `. */
  readonly headers: IncomingHttpHeaders;
  /** Bytes of body that follow, or that it comes in chunks. */
  readonly length: number | "chunked";
  /** Whether the connection may carry another request. */
  readonly isKept: boolean;
};

const statusLine = /^HTTP\/1\.1 ([2-5]\d\d)(?: [^\r\n]*)?$/;
const headerLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/;

/**
 * Reads the head of an answer of Distribution to a GET or HEAD. Strict: what is unusual is left to node:http.
 *
 * @param text of the head in latin1, without the empty line at its end
 * @returns undefined for what ends with the connection, is informational, or is not by the grammar
 * @see https://www.rfc-editor.org/rfc/rfc9112
 */
export function parseAnswerHead(method: string, text: string): AnswerHead | undefined {
  const [first = "", ...lines] = text.split("\r\n");
  const status = Number(statusLine.exec(first)?.[1]);
  const headers = parseHeaders(lines);
  if (Number.isNaN(status) || headers === undefined) return undefined;
  const length = bodyLength(method, status, headers);
  if (length === undefined) return undefined;
  return { status, headers, length, isKept: headers.connection === undefined };
}

function parseHeaders(lines: readonly string[]): IncomingHttpHeaders | undefined {
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const [, name, value] = headerLine.exec(line) ?? [];
    if (name === undefined || value === undefined) return undefined;
    const key = name.toLowerCase();
    headers[key] = key in headers ? `${headers[key]}, ${value}` : value;
  }
  return headers;
}

function bodyLength(method: string, status: number, headers: IncomingHttpHeaders): number | "chunked" | undefined {
  const { "content-length": declared, "transfer-encoding": coding } = headers;
  if (method === "HEAD" || status === 204 || status === 304) return 0;
  if (coding !== undefined) return coding.toLowerCase() === "chunked" && declared === undefined ? "chunked" : undefined;
  return declared !== undefined && /^\d{1,15}$/.test(declared) ? Number(declared) : undefined;
}
