const newline = 0x0a;

/**
 * Cuts a byte stream into lines. Characters that are split over chunks stay whole, because a newline byte is never
 * part of another UTF-8 character; what follows the last newline is half a line and is never given out.
 */
export type LineCutter = {
  /** @returns the lines that this chunk completes, without empty ones */
  push(chunk: Buffer): string[];
  /** Whether bytes of an unfinished line are there. */
  hasRest(): boolean;
};

export function createLineCutter(): LineCutter {
  let rest: Buffer[] = [];
  return {
    push(chunk) {
      const lines: string[] = [];
      let from = 0;
      for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
        const line = Buffer.concat([...rest, chunk.subarray(from, at)]).toString();
        if (line !== "") lines.push(line);
        rest = [];
        from = at + 1;
      }
      if (from < chunk.length) rest.push(chunk.subarray(from));
      return lines;
    },
    hasRest: () => rest.length > 0,
  };
}
