import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import https from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answerRequest, endWatch, writeLine } from "./api-answer.ts";
import { forwardRequest, readUpstream } from "./api-forward.ts";
import { createTable, matches, type RecordedRequest, type Route, type WatchEnding } from "./api-route.ts";
import { createSelfSigned } from "./self-signed.ts";
import { acceptWebSocket, type FakeWebSocket } from "./web-socket.ts";

export { eventOf, listOf, type RecordedRequest, type Reply, type Route, statusOf } from "./api-route.ts";

export type FakeApi = {
  readonly url: string;
  /** A kubeconfig file with a bearer token and the fake's CA. */
  readonly kubeconfig: string;
  readonly requests: readonly RecordedRequest[];
  /** Puts routes before all others. */
  use(...routes: readonly Route[]): void;
  /** Takes away every route with this `on`. */
  drop(on: string): void;
  /** Resolves with the newest when at least `count` requests that match `on` have arrived. */
  seen(on: string, count?: number): Promise<RecordedRequest>;
  count(on: string): number;
  /** Writes events to every open watch of `path`; a function makes one for the request of each watch. */
  emit(path: string, ...events: readonly unknown[]): void;
  /** Ends every open watch of `path`. */
  endWatches(path: string, ending: Exclude<WatchEnding, "open">): void;
  /** Connections that were ever accepted. */
  connections(): number;
  /** Cuts every connection. */
  cut(): void;
  /** From now on connections are refused; those that stand stay. */
  stopListening(): void;
  close(): Promise<void>;
};

/**
 * A fake API server over TLS: a table, the first matching route answers, what matches none is 404 — or goes to a real
 * API server when there is an `upstream`, which makes the table one of faults.
 *
 * @param options.upstream path of a kubeconfig with a client certificate
 * @param options.onWebSocket gets each WebSocket with its path and query; refused with 404 unless given
 */
export async function startFakeApi(
  routes: readonly Route[] = [],
  options: { readonly upstream?: string; readonly onWebSocket?: (path: string, socket: FakeWebSocket) => void } = {},
): Promise<FakeApi> {
  const upstream = options.upstream === undefined ? undefined : await readUpstream(options.upstream);
  const folder = await mkdtemp(join(tmpdir(), "slipway-fake-api-"));
  const tls = createSelfSigned();
  const server = https.createServer({ key: tls.key, cert: tls.cert, keepAliveTimeout: 0 });
  const table = createTable(routes);
  const requests: RecordedRequest[] = [];
  const arrivals = new Set<() => void>();
  const watches = new Set<{ readonly request: RecordedRequest; readonly response: ServerResponse }>();
  const sockets = new Set<Socket>();
  let accepted = 0;
  const watchesOf = (path: string) => [...watches].filter((watch) => watch.request.path === path);
  const count = (on: string) => requests.filter((request) => matches(on, request)).length;

  server.on("secureConnection", (socket) => {
    sockets.add(socket);
    accepted++;
    socket.on("error", () => socket.destroy()).on("close", () => sockets.delete(socket));
  });
  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const request = await record(incoming);
    requests.push(request);
    const route = table.take(request);
    for (const look of arrivals) look();
    if (route === undefined && upstream !== undefined) return forwardRequest(upstream, incoming, request, response);
    const watch = { request, response };
    answerRequest(route, request, response, () => {
      watches.add(watch);
      response.on("close", () => watches.delete(watch));
    });
  };
  server.on("request", (incoming, response) => {
    serve(incoming, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  server.on("upgrade", (incoming, socket) => {
    if (options.onWebSocket === undefined) socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    else options.onWebSocket(incoming.url ?? "", acceptWebSocket(incoming, socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const kubeconfig = join(folder, "kubeconfig");
  await writeFile(kubeconfig, JSON.stringify(describeKubeconfig(url, tls.cert)));

  return {
    url,
    kubeconfig,
    requests,
    use: table.use,
    drop: table.drop,
    count,
    seen(on, wanted = 1) {
      const { promise, resolve } = Promise.withResolvers<RecordedRequest>();
      const look = () => {
        const found = requests.filter((request) => matches(on, request));
        const newest = found.at(-1);
        if (newest === undefined || found.length < wanted) return;
        arrivals.delete(look);
        resolve(newest);
      };
      arrivals.add(look);
      look();
      return promise;
    },
    emit(path, ...events) {
      for (const { request, response } of watchesOf(path)) {
        for (const event of events) writeLine(response, typeof event === "function" ? event(request) : event);
      }
    },
    endWatches(path, ending) {
      for (const { response } of watchesOf(path)) endWatch(response, ending);
    },
    connections: () => accepted,
    stopListening: () => void server.close(),
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
      upstream?.agent.destroy();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function record(incoming: IncomingMessage): Promise<RecordedRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const url = new URL(incoming.url ?? "/", "https://fake");
  const text = Buffer.concat(chunks).toString();
  return {
    method: incoming.method ?? "",
    path: url.pathname,
    query: url.searchParams,
    headers: incoming.headers,
    body: text === "" ? undefined : JSON.parse(text),
  };
}

function describeKubeconfig(server: string, ca: string): unknown {
  const name = "fake";
  return {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { server, "certificate-authority-data": Buffer.from(ca).toString("base64") } }],
    users: [{ name, user: { token: "fake-token" } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    "current-context": name,
  };
}
