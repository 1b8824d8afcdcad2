import { createFault, nameCharacter, type ReferenceFault } from "./fault.ts";
import { defaultRegistry } from "./reference.ts";

/**
 * The grammar has no limit; a name in DNS has 255 octets (RFC 1035, section 2.3.4), so nothing longer can be a registry,
 * and hostile input costs nothing.
 */
export const registryLengthLimit = 512;

const dockerHubNames: ReadonlySet<string> = new Set([defaultRegistry, "index.docker.io", "registry-1.docker.io"]);

/**
 * The one name of a registry that is known under several: `index.docker.io` and `registry-1.docker.io` are `docker.io`.
 * Everything else stays, case included.
 *
 * @see https://github.com/distribution/reference/blob/main/normalize.go (legacyDefaultDomain)
 */
export function canonicalRegistry(registry: string): string {
  return dockerHubNames.has(registry) ? defaultRegistry : registry;
}

/**
 * Whether two names are the same registry: the same host, whatever its case, and the same port, which is 443 where none
 * is written.
 */
export function sameRegistry(a: string, b: string): boolean {
  return a === b || withoutDefaultPort(a.toLowerCase()) === withoutDefaultPort(b.toLowerCase());
}

function withoutDefaultPort(registry: string): string {
  return registry.endsWith(":443") ? registry.slice(0, -4) : registry;
}

/**
 * Checks `host[:port]`: a domain name, an IPv4 address, or an IPv6 address in brackets (without zone or embedded
 * IPv4), and a port of digits.
 *
 * @returns the fault, its offset counted from the beginning of `text`, or undefined when there is none
 * @see https://github.com/distribution/reference/blob/main/regexp.go (domainAndPort)
 */
export function registryFault(text: string): ReferenceFault | undefined {
  if (text.length > registryLengthLimit) {
    return createFault("registry", 0, `is longer than ${registryLengthLimit} characters`);
  }
  const hostEnd = text.startsWith("[") ? ipv6End(text) : domainEnd(text);
  return typeof hostEnd === "number" ? portFault(text, hostEnd) : hostEnd;
}

function ipv6End(text: string): number | ReferenceFault {
  for (let at = 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x5d) {
      return at === 1 ? createFault("registry", at, "has empty brackets where an IPv6 address belongs") : at + 1;
    }
    if (!isHexDigit(code) && code !== 0x3a) {
      const problem = `has ${nameCharacter(text, at)} in an IPv6 address; hex digits and ':' are allowed, no zone, no IPv4 part`;
      return createFault("registry", at, problem);
    }
  }
  return createFault("registry", text.length, "has an IPv6 address without its closing ']'");
}

function domainEnd(text: string): number | ReferenceFault {
  let afterLabel = false;
  let at = 0;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (isAlphanumeric(code)) afterLabel = true;
    else if (code === 0x3a) break;
    else if (code === 0x2d && afterLabel) continue;
    else if (code === 0x2e && afterLabel && text.charCodeAt(at - 1) !== 0x2d) afterLabel = false;
    else return createFault("registry", at, `has ${nameCharacter(text, at)} where a host name does not allow it`);
  }
  if (!afterLabel) return createFault("registry", at, "has an empty label in its host name");
  if (text.charCodeAt(at - 1) === 0x2d) return createFault("registry", at - 1, "has a label that ends in '-'");
  return at;
}

function portFault(text: string, from: number): ReferenceFault | undefined {
  if (from === text.length) return undefined;
  if (text.charCodeAt(from) !== 0x3a) {
    return createFault("registry", from, `has ${nameCharacter(text, from)} where ':' and a port belong`);
  }
  if (from + 1 === text.length) return createFault("registry", from, "has ':' without a port");
  for (let at = from + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x30 || code > 0x39) {
      return createFault("registry", at, `has ${nameCharacter(text, at)} in its port; digits are allowed`);
    }
  }
  return undefined;
}

function isHexDigit(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66) || (code >= 0x41 && code <= 0x46);
}

function isAlphanumeric(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a);
}
