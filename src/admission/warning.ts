/** Longer ones may be cut by the API server. @see https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response */
export const warningLengthLimit = 256;
/** Of all warnings of one request, other webhooks' included; what is beyond is dropped by the API server. */
export const warningTotalLimit = 4096;

const closing = "slipway: further warnings are left out";

/** Collects warnings within the API server's limits; the same sentence is given once. */
export type Warnings = {
  readonly add: (text: string) => void;
  readonly list: () => readonly string[];
};

export function createWarnings(): Warnings {
  const texts: string[] = [];
  let left = warningTotalLimit - closing.length;
  let isFull = false;
  return {
    add(text) {
      const warning = fitWarning(`slipway: ${text}`);
      if (isFull || texts.includes(warning)) return;
      if (warning.length > left) {
        isFull = true;
        texts.push(closing);
        return;
      }
      left -= warning.length;
      texts.push(warning);
    },
    list: () => texts,
  };
}

/**
 * Printable ASCII only, since warnings travel in an HTTP header and control characters lose the whole of it; at most
 * 256 characters.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7234#section-5.5
 */
function fitWarning(text: string): string {
  const cut = text.length > 2 * warningLengthLimit ? text.slice(0, 2 * warningLengthLimit) : text;
  const printable = cut.replace(/[^\x20-\x7e]/g, "?");
  return printable.length > warningLengthLimit ? `${printable.slice(0, warningLengthLimit - 3)}...` : printable;
}

/** A text of the user's in a message: in quotes, and cut so that the message stays readable. */
export function quote(text: string, limit = 80): string {
  return text.length > limit ? `"${text.slice(0, limit - 3)}..."` : `"${text}"`;
}
