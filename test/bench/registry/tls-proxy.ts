/**
 * The least that a proxy in Node can do: it ends TLS and copies bytes both ways, and knows nothing of HTTP. A process
 * of its own: the parent sends `{ port, certificate, key }` and is sent `{ port }`.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { pipeline } from "node:stream";
import { createServer } from "node:tls";
import { fileURLToPath } from "node:url";

type Order = { readonly port: number; readonly certificate: string; readonly key: string };

export type TlsProxy = { readonly url: string; stop(): Promise<void> };

/** @param order.port of the server behind it, on loopback */
export async function startTlsProxy(order: Order): Promise<TlsProxy> {
  const child = fork(fileURLToPath(import.meta.url), ["proxy"]);
  child.send(order);
  const [{ port }] = (await once(child, "message")) as [{ port: number }];
  return {
    url: `https://127.0.0.1:${port}`,
    async stop() {
      const ended = once(child, "exit");
      child.disconnect();
      await ended;
    },
  };
}

async function serve(): Promise<void> {
  const [{ port, certificate, key }] = (await once(process, "message")) as [Order];
  const server = createServer({ cert: certificate, key, noDelay: true }, (client) => {
    const upstream = connect({ host: "127.0.0.1", port, noDelay: true });
    // Whoever ends first ends the other; nobody is told why.
    pipeline(client, upstream, client, () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  process.once("disconnect", () => process.exit(0));
  process.send?.({ port: (server.address() as AddressInfo).port });
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === "proxy") await serve();
