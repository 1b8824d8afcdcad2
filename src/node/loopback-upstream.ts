import { Agent } from "node:https";
import { isIP } from "node:net";
import { rootCertificates } from "node:tls";
import type { OrderedRegistry } from "./protocol.ts";

/** How the loopback proxy reaches the registry: options for node:https. */
export type Upstream = {
  readonly host: string;
  readonly port: number;
  readonly agent: Agent;
  /** Ends the connections that are idle; those in use end with their requests. */
  retire(): void;
};

/**
 * Verified TLS to the registry's address, its certificate checked against `serverName`; connections are kept.
 *
 * @see https://nodejs.org/api/https.html#class-httpsagent
 */
export function createUpstream(registry: OrderedRegistry): Upstream {
  const url = new URL(registry.server);
  const trusted = registry.kind === "external" ? [...rootCertificates, registry.ca ?? ""] : (registry.ca ?? "");
  const agent = new Agent({
    keepAlive: true,
    maxFreeSockets: 8,
    scheduling: "lifo",
    ...(registry.ca === null ? {} : { ca: trusted }),
    // RFC 6066 has no server name for an address; the certificate is then checked against the one connected to.
    ...(isIP(registry.serverName) === 0 ? { servername: registry.serverName } : {}),
    minVersion: "TLSv1.2",
  });
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? 443 : Number(url.port),
    agent,
    retire() {
      // Agent.destroy() would cut transfers that are under way.
      agent.maxFreeSockets = 0;
      for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
    },
  };
}
