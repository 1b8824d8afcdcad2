import { isIP } from "node:net";
import { isRecord } from "../cluster/narrow.ts";
import { readBundle } from "../tls/certificate.ts";
import type { ContainerRuntime, NodeOrders, OrderedRegistry } from "./protocol.ts";
import { isNodeAccessMode } from "./report.ts";

export type CheckedOrders = {
  readonly orders: NodeOrders;
  /** What was ordered and is not done, with the reason; it becomes a finding. */
  readonly refused: readonly string[];
};

const component = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const hostPattern = new RegExp(`^(${component}(?:\\.${component})*)(?::([0-9]{1,5}))?$`);
const nameLimit = 200;
const namesLimit = 64;

/**
 * Why an agent does not write a folder for this name, or undefined when it does: `host[:port]` by the grammar of image
 * references, one path segment, never docker.io under any of its names, whose traffic would be redirected.
 *
 * @see https://github.com/distribution/reference/blob/main/reference.go (grammar in the header)
 */
export function refuseName(name: string): string | undefined {
  const [, host, port] = hostPattern.exec(name) ?? [];
  if (host === undefined || name.length > nameLimit) return "it is not host[:port]";
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65535)) return "its port is not between 1 and 65535";
  if (!host.includes(".") && port === undefined && host !== "localhost") {
    return "a host without a dot or a port is read as a part of the path";
  }
  const lower = host.toLowerCase();
  if (/(^|\.)docker\.(io|com)$/.test(lower)) return "docker.io is never redirected";
  return undefined;
}

/**
 * Narrows what serve answered to what this agent is willing to do, whoever sent it.
 *
 * @returns undefined when it is no order at all; the agent goes on with those it has
 */
export function checkOrders(value: unknown): CheckedOrders | undefined {
  if (!isRecord(value) || typeof value.revision !== "string" || value.revision.length > 128) return undefined;
  if (typeof value.protocol !== "number" || !Array.isArray(value.modes) || !Array.isArray(value.remove)) {
    return undefined;
  }
  const registry = value.registry === null ? { registry: null, refused: [] } : checkRegistry(value.registry);
  if (registry === undefined) return undefined;
  const modes = value.modes.filter(isNodeAccessMode);
  return {
    orders: {
      protocol: value.protocol,
      revision: value.revision,
      registry: registry.registry,
      modes,
      remove: value.remove.filter(isNodeAccessMode).filter((mode) => !modes.includes(mode)),
      lookCount: typeof value.lookCount === "number" ? value.lookCount : 0,
      runtime: checkRuntime(value.runtime),
    },
    refused: registry.refused,
  };
}

function checkRegistry(
  value: unknown,
): { readonly registry: OrderedRegistry; readonly refused: readonly string[] } | undefined {
  if (!isRecord(value) || !Array.isArray(value.names)) return undefined;
  const server = checkServer(value.server);
  const serverName = value.serverName;
  if (server === undefined || typeof serverName !== "string" || !isServerName(serverName)) return undefined;
  const ca = checkCa(value.ca);
  const port = value.loopbackPort;
  if (ca === undefined || !isPort(port)) return undefined;
  const names = value.names.filter((name) => typeof name === "string").slice(0, namesLimit);
  const refused = names.flatMap((name) => {
    const why = refuseName(name);
    return why === undefined ? [] : [`${JSON.stringify(name.slice(0, 80))}: ${why}`];
  });
  return {
    registry: {
      kind: value.kind === "external" ? "external" : "hosted",
      names: [...new Set(names.filter((name) => refuseName(name) === undefined))],
      server,
      serverName,
      ca,
      loopbackPort: port,
      checkLogin: checkLogin(value.checkLogin),
    },
    refused,
  };
}

/** @returns the origin, when it is https with neither credentials nor path */
function checkServer(value: unknown): string | undefined {
  if (typeof value !== "string" || !URL.canParse(value)) return undefined;
  const url = new URL(value);
  const isPlain = url.username === "" && url.password === "" && url.pathname === "/" && url.search + url.hash === "";
  if (url.protocol !== "https:" || !isPlain) return undefined;
  // The port is written out for an address, as in the order; `origin` drops 443.
  return value.endsWith(":443") ? `https://${url.hostname}:443` : url.origin;
}

function isServerName(name: string): boolean {
  return isIP(name) !== 0 || (hostPattern.test(name) && !name.includes(":"));
}

/** @returns the certificates written anew, so that nothing else gets into a file; null for none, undefined if not PEM */
function checkCa(value: unknown): string | null | undefined {
  if (value === null || value === undefined) return null;
  if (typeof value !== "string" || value.length > 128 * 1024) return undefined;
  const certificates = readBundle(value);
  return certificates.length === 0 ? undefined : certificates.map((certificate) => certificate.pem).join("");
}

function checkLogin(value: unknown): OrderedRegistry["checkLogin"] {
  if (!isRecord(value) || typeof value.username !== "string" || typeof value.password !== "string") return null;
  return { username: value.username, password: value.password };
}

function checkRuntime(value: unknown): ContainerRuntime | null {
  if (!isRecord(value) || typeof value.name !== "string" || typeof value.version !== "string") return null;
  return { name: value.name.slice(0, 40), version: value.version.slice(0, 80) };
}

function isPort(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65535;
}
