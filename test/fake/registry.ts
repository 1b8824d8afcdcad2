import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { createSelfSigned } from "./self-signed.ts";

/** One row of the table: what is asked, and what happens. Rows are tried in order; used-up ones are passed over. */
export type RegistryRoute = {
  /** `METHOD /path?query`; a trailing `*` stands for any rest. */
  readonly on: string;
  /** Asked only while the header `authorization` is exactly this. */
  readonly authorization?: string;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Instead of an answer: break the connection, say nothing, or break off in the middle of the body. */
  readonly fault?: "reset" | "silence" | "half-body";
  /** Takes over the response, e.g. for a stream that does not end. */
  readonly handle?: (request: IncomingMessage, response: ServerResponse) => void;
  /** How often the row counts; always unless given. */
  readonly times?: number;
};

/** A registry over TLS on loopback that answers from a table; what the table does not name is 404. */
export type FakeRegistry = {
  readonly url: string;
  readonly address: string;
  readonly ca: string;
  /** `METHOD /path?query` of each request, in order. */
  readonly requests: readonly string[];
  /** Breaks every open connection. */
  breakConnections(): void;
  close(): Promise<void>;
};

/** @param pair certificate and key; of its own unless given. Clients of several registries need one for all. */
export async function startFakeRegistry(
  routes: readonly RegistryRoute[],
  pair: { readonly key: string; readonly cert: string } = createSelfSigned(),
): Promise<FakeRegistry> {
  const { key, cert } = pair;
  const used = new Map<RegistryRoute, number>();
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ key, cert }, (request, response) => {
    const asked = `${request.method} ${request.url}`;
    requests.push(asked);
    const route = routes.find((candidate) => fits(candidate, asked, request, used.get(candidate) ?? 0));
    if (route === undefined) {
      response.writeHead(404, { "content-type": "application/json" });
      response.end('{"errors":[{"code":"NAME_UNKNOWN"}]}');
      return;
    }
    used.set(route, (used.get(route) ?? 0) + 1);
    answer(route, request, response);
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${port}`,
    address: `127.0.0.1:${port}`,
    ca: cert,
    requests,
    breakConnections() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function fits(route: RegistryRoute, asked: string, request: IncomingMessage, usedTimes: number): boolean {
  if (usedTimes >= (route.times ?? Number.POSITIVE_INFINITY)) return false;
  if (route.authorization !== undefined && request.headers.authorization !== route.authorization) return false;
  return route.on.endsWith("*") ? asked.startsWith(route.on.slice(0, -1)) : asked === route.on;
}

function answer(route: RegistryRoute, request: IncomingMessage, response: ServerResponse): void {
  if (route.handle !== undefined) {
    route.handle(request, response);
    return;
  }
  if (route.fault === "silence") return;
  if (route.fault === "reset") {
    request.socket.destroy();
    return;
  }
  const body = route.body ?? "";
  response.writeHead(route.status ?? 200, { "content-type": "application/json", ...route.headers });
  if (route.fault === "half-body") {
    response.write(body.slice(0, Math.floor(body.length / 2)), () => request.socket.destroy());
    return;
  }
  response.end(request.method === "HEAD" ? undefined : body);
}
