import { SlipwayError } from "../errors.ts";

/** What is wrong with a reference, and where. */
export type ReferenceFault = {
  readonly part: "reference" | "registry" | "repository" | "tag" | "digest";
  /** Of the first character that does not fit, from 0. */
  readonly offset: number;
  /** A sentence for people, at most about 200 characters, whatever the input. */
  readonly message: string;
};

/** @param problem completes "the <part> …" */
export function createFault(part: ReferenceFault["part"], offset: number, problem: string): ReferenceFault {
  return { part, offset, message: `the ${part} ${problem} (character ${offset + 1})` };
}

/** Tells a fault from what was read. */
export function isFault(value: object): value is ReferenceFault {
  return "offset" in value;
}

export function referenceError(fault: ReferenceFault): SlipwayError {
  return new SlipwayError("REFERENCE_INVALID", fault.message);
}

/** A character as it may stand in a message: printable ASCII in quotes, everything else as U+XXXX. */
export function nameCharacter(text: string, offset: number): string {
  const code = text.codePointAt(offset) ?? 0;
  return code > 0x20 && code < 0x7f
    ? `'${String.fromCodePoint(code)}'`
    : `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}
