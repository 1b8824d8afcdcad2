import type { Readable } from "node:stream";
import { RegistryError } from "./registry-error.ts";

const lineLimitCharacters = 64 * 1024;

/** The lines of a stream that may not end; empty ones are left out. @throws RegistryError for a line without end */
export async function* readLines(stream: Readable): AsyncGenerator<string> {
  let rest = "";
  stream.setEncoding("utf8");
  for await (const chunk of stream as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > lineLimitCharacters) {
      const message = `a line of the stream is longer than ${lineLimitCharacters} characters`;
      throw new RegistryError({ status: 200, code: "STREAM_INVALID", message });
    }
    for (const line of lines) if (line.trim() !== "") yield line;
  }
}
