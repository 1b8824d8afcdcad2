/**
 * The one register of errors. `docs/errors.md` mirrors it; a test compares the two.
 * Keep it sorted by code, one line each: the code is stable, the sentence may improve.
 */
export const errorCodes = {
  ARCHIVE_INVALID: "the image archive cannot be read",
  COMPONENT_ENDED: "a part of the program ended before it was told to",
  CONFIG_INVALID: "a configuration object or option is not valid",
  DESTINATION_AMBIGUOUS: "the name of the image in the local registry is not clear",
  DEV_NOT_READY: "the development environment did not become ready",
  DOWNLOAD_INVALID: "a downloaded archive is not what was expected",
  KUBECONFIG_INVALID: "the configuration does not lead to a cluster",
  PROGRAM_FAILED: "a program did not do its work",
  PROGRAM_MISSING: "a program that is needed cannot be found",
  REFERENCE_INVALID: "the image reference does not follow the distribution grammar",
  REGISTRY_FAILED: "the registry did not do what it was asked",
  REGISTRY_UNAVAILABLE: "the registry behind the gateway does not answer",
  REGISTRY_UNREACHABLE: "the local registry cannot be reached",
  TUNNEL_BROKEN: "the tunnel to a pod broke",
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
