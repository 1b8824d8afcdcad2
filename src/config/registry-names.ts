import type { LocalRegistrySpec } from "./local-registry.ts";
import { loopbackPort, registryClusterHost, registryHost } from "./names.ts";

export type RegistryNames = {
  /** The canonical name in rewritten references, `host[:port]`. */
  readonly host: string;
  /** Every name of the registry, `host` first, without duplicates. */
  readonly names: readonly string[];
  /** `127.0.0.1:<port>`, where the loopback proxy of a node answers. */
  readonly loopback: string;
};

/**
 * The names under which images of the local registry are addressed: `spec.host` (by default the Service's name when
 * Slipway hosts it, the host of `external.url` else), the Service's names when it is hosted, and `spec.aliases`.
 */
export function registryNames(spec: LocalRegistrySpec): RegistryNames {
  const own = spec.external === undefined ? [registryHost, registryClusterHost] : [new URL(spec.external.url).host];
  const host = spec.host ?? own[0] ?? registryHost;
  return {
    host,
    names: [...new Set([host, ...own, ...(spec.aliases ?? [])])],
    loopback: `127.0.0.1:${spec.loopbackPort ?? loopbackPort}`,
  };
}
