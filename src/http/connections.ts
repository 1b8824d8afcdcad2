import type { Server } from "node:https";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";

/** The connections of a server that are open. */
export type Connections = {
  /**
   * Resets them all. An end behind what is still to be sent would not do: with a pod its network goes as well, and a
   * client that reads slowly would wait for the rest for ever.
   */
  cut(): void;
};

type Connection = { readonly transport: Socket; secure?: TLSSocket };

export function trackConnections(server: Server): Connections {
  const open = new Map<string, Connection>();
  server.on("connection", (transport: Socket) => {
    const key = clientOf(transport);
    open.set(key, { transport });
    transport.once("close", () => {
      if (open.get(key)?.transport === transport) open.delete(key);
    });
  });
  server.on("secureConnection", (secure: TLSSocket) => {
    const connection = open.get(clientOf(secure));
    if (connection !== undefined) connection.secure = secure;
  });
  return {
    cut() {
      for (const { transport, secure } of open.values()) {
        if (secure !== undefined && isShuttingDown(secure)) secure.destroy();
        else transport.resetAndDestroy();
      }
    },
  };
}

/** Node tells nowhere which TCP socket is below a TLS socket. */
function clientOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

/**
 * Everything is sent but the end. libuv refuses to reset such a connection (EINVAL), Node then never lets go of it, and
 * its process spins instead of ending: kubelet kills the pod when its grace period is over.
 *
 * @see https://docs.libuv.org/en/v1.x/tcp.html#c.uv_tcp_close_reset
 */
function isShuttingDown(socket: TLSSocket): boolean {
  return socket.writableEnded && socket.writableLength === 0;
}
