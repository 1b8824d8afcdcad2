import { createHash } from "node:crypto";
import http from "node:http";
import https from "node:https";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import { ApiError } from "./api.ts";
import { type ClusterSource, loadKubeConfig } from "./kubeconfig.ts";

/** What one request needs to reach the API server as us. */
export type Connection = {
  readonly agent: http.Agent;
  readonly headers: Readonly<Record<string, string>>;
};

export type ConnectionPool = {
  readonly server: string;
  /** The pool and our credentials of this moment. @throws ApiError status 0 when there were never any */
  connection(): Promise<Connection>;
  /** After a 401: reads configuration and credentials anew. @returns false when that was done a moment ago */
  reload(): Promise<boolean>;
  /** After a request that nobody answered: new requests get new connections, the old ones end with what they carry. */
  retire(): void;
  close(): void;
};

type PoolNeeds = {
  readonly source: ClusterSource;
  readonly maxConnections: number;
  readonly clock: Clock;
  readonly log: Log;
};

/** Files of a pod's ServiceAccount change about once an hour; client-node itself reads the token once a minute. */
const refreshMs = 10_000;
const reloadPauseMs = 5_000;
const retirePauseMs = 10_000;

/**
 * One keep-alive pool for all requests of the process. client-node says who we are (certificates, tokens, exec
 * plugins, in-cluster files, proxies); it is asked every ten seconds, and when certificates or CA differ the pool is
 * replaced, so that a rotation needs no restart.
 *
 * @throws SlipwayError KUBECONFIG_INVALID
 */
export function createConnectionPool(needs: PoolNeeds): ConnectionPool {
  const { source, clock, log } = needs;
  let config = loadKubeConfig(source);
  const server = config.getCurrentCluster()?.server ?? "";
  let current: (Connection & { readonly material: string }) | undefined;
  let isRetired = false;
  let refreshedAtMs = Number.NEGATIVE_INFINITY;
  let reloadedAtMs = Number.NEGATIVE_INFINITY;
  let retiredAtMs = Number.NEGATIVE_INFINITY;
  let refreshing: Promise<Connection> | undefined;

  const open = (options: https.RequestOptions): http.Agent => {
    const settings = {
      keepAlive: true,
      keepAliveMsecs: 30_000,
      maxSockets: needs.maxConnections,
      maxFreeSockets: needs.maxConnections,
      // Below the API server's own idle limit of 90 s, so that it is us who close.
      timeout: 60_000,
      scheduling: "lifo" as const,
    };
    if (config.getCurrentCluster()?.proxyUrl && options.agent instanceof http.Agent) {
      return Object.assign(options.agent, settings);
    }
    if (server.startsWith("http:")) return new http.Agent(settings);
    const { ca, cert, key, pfx, passphrase, servername, rejectUnauthorized } = options;
    const tls = { ca, cert, key, pfx, passphrase, servername, rejectUnauthorized };
    return new https.Agent({ ...settings, ...withoutUndefined(tls) });
  };

  const refresh = async (): Promise<Connection> => {
    try {
      let options: https.RequestOptions = {};
      await config.applyToHTTPSOptions(options);
      const material = fingerprint(options);
      let agent = current?.agent;
      if (agent === undefined || isRetired || current?.material !== material) {
        if (agent !== undefined && config.getCurrentCluster()?.proxyUrl) {
          // client-node keeps the agent of a proxy for ever; a new configuration makes a new one.
          config = loadKubeConfig(source);
          options = {};
          await config.applyToHTTPSOptions(options);
        }
        if (agent !== undefined) letGo(agent);
        agent = open(options);
        isRetired = false;
      }
      current = { agent, headers: headersOf(options), material };
      refreshedAtMs = clock.monotonicMs();
      return current;
    } catch (error) {
      return keepOn(error);
    }
  };

  const keepOn = (error: unknown): Connection => {
    if (current === undefined) {
      const message = `credentials for ${server} cannot be had: ${firstLine(error)}`;
      throw new ApiError({ status: 0, reason: "NoCredentials", message, cause: error });
    }
    log.warn({ err: error, server }, "credentials could not be read again; the last ones stay in use");
    refreshedAtMs = clock.monotonicMs();
    return current;
  };

  const refreshOnce = (): Promise<Connection> => {
    refreshing ??= refresh().finally(() => {
      refreshing = undefined;
    });
    return refreshing;
  };

  return {
    server,
    async connection() {
      if (current !== undefined && !isRetired && clock.monotonicMs() - refreshedAtMs < refreshMs) return current;
      return refreshOnce();
    },
    async reload() {
      if (clock.monotonicMs() - reloadedAtMs < reloadPauseMs) return false;
      reloadedAtMs = clock.monotonicMs();
      config = loadKubeConfig(source);
      await refreshOnce();
      return true;
    },
    retire() {
      if (current === undefined || clock.monotonicMs() - retiredAtMs < retirePauseMs) return;
      retiredAtMs = clock.monotonicMs();
      letGo(current.agent);
      isRetired = true;
    },
    close: () => current?.agent.destroy(),
  };
}

/** Idle connections end now, the others when they become idle. */
function letGo(agent: http.Agent): void {
  agent.maxFreeSockets = 0;
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
}

function fingerprint(options: https.RequestOptions): string {
  const hash = createHash("sha256");
  for (const part of [options.ca, options.cert, options.key, options.servername, options.rejectUnauthorized]) {
    hash.update(`${part === undefined ? "-" : String(part)}\0`);
  }
  return hash.digest("hex");
}

function headersOf(options: https.RequestOptions): Record<string, string> {
  const headers: Record<string, string> = {};
  // A token file may end with a newline, which no header may.
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value).trim();
  if (typeof options.auth === "string") headers.authorization = `Basic ${Buffer.from(options.auth).toString("base64")}`;
  return headers;
}

function withoutUndefined<T extends Record<string, unknown>>(record: T): T {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as T;
}

/** An exec plugin's words on standard error say what the user has to do; one line of them is enough. */
function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (text.trim().split("\n")[0] ?? "").slice(0, 200);
}
