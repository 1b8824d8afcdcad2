import { createSecureContext, type SecureContext } from "node:tls";
import type { Log } from "../log.ts";
import type { CertificatePair } from "../tls/certificate.ts";
import { readCertificate } from "../tls/certificate.ts";
import type { CertificateSource } from "../tls/serving-certificate.ts";

type Named = { readonly pair: CertificatePair; readonly names: readonly string[]; readonly context: SecureContext };

/**
 * The context of a certificate for those who ask for one of its DNS names (server name indication); undefined for
 * others, who are given the server's own. Follows the source.
 *
 * @param ownNames in lower case; who asks for one of them is given the server's own, whatever the certificate covers
 * @see https://www.rfc-editor.org/rfc/rfc6066#section-3
 */
export function createNamedContext(
  source: CertificateSource,
  ownNames: readonly string[],
  log: Log,
): (name: string) => SecureContext | undefined {
  let made: Named | undefined;
  const refresh = (): void => {
    const pair = source.current();
    if (pair === undefined) {
      made = undefined;
      return;
    }
    try {
      const context = createSecureContext({ cert: pair.certificate, key: pair.key, minVersion: "TLSv1.2" });
      made = { pair, names: readCertificate(pair.certificate)?.names.dnsNames ?? [], context };
      log.info({ names: made.names }, "named certificate loaded");
    } catch (error) {
      log.error({ err: error }, "the named certificate cannot be used; the one before stays");
    }
  };
  source.onChange(refresh);
  refresh();
  return (asked) => {
    const name = asked.toLowerCase();
    if (ownNames.includes(name)) return undefined;
    return made?.names.some((pattern) => matchesName(pattern, name)) ? made.context : undefined;
  };
}

/**
 * Whether a DNS name of a certificate covers a host name; `*` stands for one whole label, the first.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9525#section-6.3
 */
export function matchesName(pattern: string, name: string): boolean {
  if (!pattern.startsWith("*.")) return pattern === name;
  const dot = name.indexOf(".");
  return dot > 0 && name.slice(dot) === pattern.slice(1);
}
