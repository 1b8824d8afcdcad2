import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy on loopback that breaks connections when it is told to. */
export type BreakingProxy = {
  readonly address: string;
  /** Breaks the next connection that has carried so many bytes to the server; once for each entry. */
  breakAfter(...limitBytes: readonly number[]): void;
  /** Refuses new connections and breaks the open ones, until `open`. */
  cut(): void;
  open(): void;
  readonly broken: () => number;
  close(): Promise<void>;
};

/** @param target `host:port` */
export async function startBreakingProxy(target: string): Promise<BreakingProxy> {
  const [host = "", port = ""] = target.split(":");
  const sockets = new Set<Socket>();
  const limits: number[] = [];
  let isCut = false;
  let broken = 0;
  const server = createServer((client) => {
    if (isCut) return void client.destroy();
    const upstream = connect(Number(port), host);
    let carried = 0;
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", end);
      socket.once("close", () => {
        sockets.delete(socket);
        end();
      });
    }
    client.on("data", (chunk: Buffer) => {
      carried += chunk.length;
      const limit = limits[0];
      if (limit !== undefined && carried > limit) {
        limits.shift();
        broken++;
        // What came so far has to arrive, so that the server is left with a part.
        upstream.end(chunk.subarray(0, Math.max(0, chunk.length - (carried - limit))));
        client.resetAndDestroy();
        return;
      }
      if (!upstream.write(chunk)) client.pause();
    });
    upstream.on("drain", () => client.resume());
    upstream.pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    breakAfter: (...added) => void limits.push(...added),
    cut() {
      isCut = true;
      for (const socket of sockets) socket.resetAndDestroy();
    },
    open() {
      isCut = false;
    },
    broken: () => broken,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
