import { Resolver } from "node:dns/promises";
import { isIP, type LookupFunction } from "node:net";
import type { Disk } from "./disk.ts";

/** What the host's resolver is told. */
export type ResolverConfig = {
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly ndots: number;
};

/** @see https://man7.org/linux/man-pages/man5/resolv.conf.5.html */
export function parseResolvConf(text: string): ResolverConfig {
  const rows = text.split("\n").map((line) =>
    line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/),
  );
  const of = (keyword: string) => rows.filter(([first]) => first === keyword).map((row) => row.slice(1));
  const ndots = of("options")
    .flat()
    .findLast((option) => option.startsWith("ndots:"));
  return {
    servers: of("nameserver")
      .flat()
      .filter((server) => isIP(server.split("%")[0] ?? "") !== 0)
      .slice(0, 3),
    search: (rows.findLast(([first]) => first === "search" || first === "domain") ?? []).slice(1),
    ndots: ndots === undefined ? 1 : Number.parseInt(ndots.slice("ndots:".length), 10) || 0,
  };
}

/** @returns the addresses that /etc/hosts has for a name. @see https://man7.org/linux/man-pages/man5/hosts.5.html */
export function addressesInHosts(text: string, name: string): readonly string[] {
  const wanted = name.toLowerCase();
  return text
    .split("\n")
    .map((line) => line.replace(/#.*$/, "").trim().split(/\s+/))
    .filter(([address = "", ...names]) => isIP(address) !== 0 && names.some((entry) => entry.toLowerCase() === wanted))
    .map(([address = ""]) => address);
}

/** The names to ask for, in order, as the resolver of libc and Go do. */
export function candidateNames(name: string, config: ResolverConfig): readonly string[] {
  if (name.endsWith(".")) return [name.slice(0, -1)];
  const dots = name.split(".").length - 1;
  const searched = config.search.filter((domain) => domain !== ".").map((domain) => `${name}.${domain}`);
  return dots >= config.ndots ? [name, ...searched] : [...searched, name];
}

/** Name resolution as the host does it, for a process whose own goes to the cluster's DNS. */
export type HostLookup = {
  /** @throws an error with `code` ENOTFOUND when the host does not know the name, else the resolver's error */
  addresses(name: string): Promise<readonly string[]>;
};

/**
 * @param needs.hostsFile kubelet gives pods on the host network a copy of the host's
 * @param needs.resolvConf the host's own `/etc/resolv.conf`, mounted. Where it is not, names that only the cluster's
 *   DNS has (`….svc`, `….svc.<domain>`) count as unknown, and the rest is asked of this process's name servers
 */
export function createHostLookup(needs: {
  readonly disk: Pick<Disk, "read">;
  readonly hostsFile: string;
  readonly resolvConf: string;
  readonly ownResolvConf: string;
}): HostLookup {
  return {
    async addresses(name) {
      const listed = addressesInHosts((await needs.disk.read(needs.hostsFile)) ?? "", name);
      if (listed.length > 0) return listed;
      const host = await needs.disk.read(needs.resolvConf);
      if (host === undefined && /\.svc(\.|$)/.test(name)) throw notFound(name);
      const config = parseResolvConf(host ?? (await needs.disk.read(needs.ownResolvConf)) ?? "");
      return resolveAny(name, config);
    },
  };
}

async function resolveAny(name: string, config: ResolverConfig): Promise<readonly string[]> {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 });
  if (config.servers.length > 0) resolver.setServers(config.servers.map(serverAddress));
  for (const candidate of candidateNames(name, config)) {
    const found = await Promise.allSettled([resolver.resolve4(candidate), resolver.resolve6(candidate)]);
    const addresses = found.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
    if (addresses.length > 0) return addresses;
    const fault = found.find((result) => result.status === "rejected" && !isAbsent(result.reason));
    if (fault?.status === "rejected") throw fault.reason;
  }
  throw notFound(name);
}

function isAbsent(reason: unknown): boolean {
  const code = (reason as { code?: unknown } | null)?.code;
  return code === "ENOTFOUND" || code === "ENODATA";
}

function serverAddress(server: string): string {
  const address = server.split("%")[0] ?? server;
  return isIP(address) === 6 ? `[${address}]` : address;
}

function notFound(name: string): Error {
  return Object.assign(new Error(`${name} does not resolve on the host`), { code: "ENOTFOUND" });
}

/** The form in which node:net takes it. */
export function asLookupFunction(lookup: HostLookup): LookupFunction {
  return (hostname, options, callback) => {
    lookup.addresses(hostname).then(
      (addresses) => {
        const all = addresses.map((address) => ({ address, family: isIP(address) }));
        const first = all[0] ?? { address: "", family: 4 };
        if (options.all === true) callback(null, all);
        else callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, "", 4),
    );
  };
}
