import { Agent } from "node:http";
import { connect as connectTcp, isIP } from "node:net";
import type { Duplex } from "node:stream";
import { type ConnectionOptions, connect as connectTls } from "node:tls";

/** Opens the transport below TLS: a TCP connection, or a tunnel of `kubectl port-forward`. */
export type Connect = () => Promise<Duplex>;

/**
 * A first packet that is lost is sent again after one second and after three. One that was sent to a pod in the moment
 * in which it went away is never answered, however often it is sent: the next connection goes to the new pod.
 */
const tcpWithinMs = 5_000;
/** On a connection that stands. */
const handshakeWithinMs = 10_000;

/** A connection that took too long; its code is the one that the kernel would give in the end. */
class ConnectTimeoutError extends Error {
  override readonly name = "ConnectTimeoutError";
  readonly code = "ETIMEDOUT";
}

/**
 * A plain TCP connection; it fails with ETIMEDOUT when it does not stand in time, 5 s unless given.
 *
 * @param address `host:port`, an IPv6 host in brackets
 */
export function createTcpConnect(address: string, withinMs = tcpWithinMs): Connect {
  const { hostname, port } = new URL(`tcp://${address}`);
  const host = hostname.replace(/^\[|\]$/g, "");
  return () =>
    new Promise((resolve, reject) => {
      const socket = connectTcp({ host, port: Number(port) });
      socket.setTimeout(withinMs, () => {
        socket.destroy(new ConnectTimeoutError(`${address} takes no connection within ${withinMs} ms`));
      });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        socket.removeAllListeners("timeout").setTimeout(0);
        socket.setNoDelay(true);
        resolve(socket);
      });
    });
}

/** `host:port` of a URL, with the scheme's port when it names none. */
export function addressOf(url: URL): string {
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  return `${url.hostname}:${port}`;
}

export type ConnectionNeeds = {
  readonly origin: URL;
  readonly connect: Connect;
  /** PEM, read at each new connection so that a rotated CA is seen; undefined: the system's trust. */
  readonly ca: () => string | undefined;
  /** The name that the certificate must carry; the origin's host unless given. */
  readonly serverName?: string;
};

/** Opens one connection, with TLS where the origin says https. @returns a stream on which HTTP can be spoken */
export async function openConnection(needs: ConnectionNeeds): Promise<Duplex> {
  const transport = await needs.connect();
  if (needs.origin.protocol !== "https:") return transport;
  const host = (needs.serverName ?? needs.origin.hostname).replace(/^\[|\]$/g, "");
  const ca = needs.ca();
  const options: ConnectionOptions = {
    socket: transport,
    host,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === undefined ? {} : { ca }),
    ALPNProtocols: ["http/1.1"],
  };
  return new Promise((resolve, reject) => {
    const socket = connectTls(options);
    const fail = (error: Error) => {
      clearTimeout(late);
      transport.destroy();
      reject(error);
    };
    const late = setTimeout(() => {
      socket.destroy(new ConnectTimeoutError(`no TLS handshake within ${handshakeWithinMs} ms`));
    }, handshakeWithinMs);
    socket.once("error", fail);
    // A tunnel that ends in the middle of the handshake gives no error by itself.
    transport.once("close", () => socket.destroy(new Error("the connection ended during the TLS handshake")));
    socket.once("secureConnect", () => {
      clearTimeout(late);
      socket.off("error", fail);
      resolve(socket);
    });
  });
}

/** A pool of such connections for node:http. `keepAlive: false` gives each request one of its own. */
export function createConnectionPool(needs: ConnectionNeeds, options: { readonly maxSockets: number }): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: options.maxSockets, maxFreeSockets: 4, scheduling: "lifo" });
  agent.createConnection = (_options, callback) => {
    openConnection(needs).then(
      (socket) => callback?.(null, socket),
      (error: Error) => callback?.(error, undefined as unknown as Duplex),
    );
    return undefined;
  };
  return agent;
}
