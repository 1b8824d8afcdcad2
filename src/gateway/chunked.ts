/** Takes a chunked body apart, piece by piece. */
export type ChunkDecoder = {
  /** @returns what these bytes hold of the body, a copy, and whether it has ended; undefined for what is malformed */
  decode(bytes: Buffer): { readonly body: Buffer; readonly isEnd: boolean } | undefined;
};

const lineLimit = 4_096;
const sizeLine = /^([0-9a-fA-F]{1,8})[ \t]*(?:;.*)?$/;

/** @see https://www.rfc-editor.org/rfc/rfc9112#section-7.1 */
export function createChunkDecoder(): ChunkDecoder {
  let expected: "size" | "data" | "end of data" | "trailer" | "nothing" = "size";
  let left = 0;
  let line = "";
  /** @returns whether the line was what had to come */
  const take = (text: string): boolean => {
    if (expected === "size") {
      const [, size] = sizeLine.exec(text) ?? [];
      left = Number.parseInt(size ?? "0", 16);
      expected = left === 0 ? "trailer" : "data";
      return size !== undefined;
    }
    if (expected === "trailer") {
      if (text === "") expected = "nothing";
      return true;
    }
    expected = "size";
    return text === "";
  };
  /** @returns where the line ends; undefined: it is too long, or not what had to come */
  const readLine = (bytes: Buffer, from: number): number | undefined => {
    const end = bytes.indexOf("\n", from);
    line += bytes.toString("latin1", from, end < 0 ? bytes.length : end);
    if (line.length > lineLimit) return undefined;
    if (end < 0) return bytes.length;
    const text = line.endsWith("\r") ? line.slice(0, -1) : line;
    line = "";
    return take(text) ? end + 1 : undefined;
  };
  return {
    decode(bytes) {
      const parts: Buffer[] = [];
      let at = 0;
      while (at < bytes.length) {
        if (expected === "nothing") return undefined;
        if (expected === "data") {
          const part = bytes.subarray(at, at + left);
          parts.push(part);
          left -= part.length;
          at += part.length;
          if (left === 0) expected = "end of data";
          continue;
        }
        const next = readLine(bytes, at);
        if (next === undefined) return undefined;
        at = next;
      }
      return { body: Buffer.concat(parts), isEnd: expected === "nothing" };
    },
  };
}
