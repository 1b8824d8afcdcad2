/**
 * The one register of errors. `docs/errors.md` mirrors it; a test compares the two.
 * Keep it sorted by code, one line each: the code is stable, the sentence may improve.
 */
export const errorCodes = {
  CONFIG_INVALID: "a configuration object or option is not valid",
  REFERENCE_INVALID: "the image reference does not follow the distribution grammar",
} as const;

export type ErrorCode = keyof typeof errorCodes;

/**
 * A fault with an identity. Tests and callers compare `code`, never the text.
 *
 * @param detail names the object, the field, what was found and what to do; never a secret
 */
export class SlipwayError extends Error {
  override readonly name = "SlipwayError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, detail?: string, options?: ErrorOptions) {
    super(detail === undefined ? errorCodes[code] : `${errorCodes[code]}: ${detail}`, options);
    this.code = code;
  }
}
