import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import https from "node:https";
import { parse } from "yaml";

/** A real API server behind the fake one, and an identity of the proxy's own. */
export type Upstream = { readonly url: URL; readonly agent: https.Agent };

/** @param kubeconfig a file with embedded CA and client certificate, first cluster and user taken */
export async function readUpstream(kubeconfig: string): Promise<Upstream> {
  const config = parse(await readFile(kubeconfig, "utf8"));
  const { server, "certificate-authority-data": ca } = config.clusters[0].cluster;
  const { "client-certificate-data": cert, "client-key-data": key } = config.users[0].user;
  const decode = (text: string) => Buffer.from(text, "base64");
  return {
    url: new URL(server),
    agent: new https.Agent({ keepAlive: true, ca: decode(ca), cert: decode(cert), key: decode(key) }),
  };
}

/** Passes one request on and streams the answer back; a cut on either side cuts the other. */
export function forwardRequest(
  upstream: Upstream,
  incoming: IncomingMessage,
  request: { readonly body: unknown },
  response: ServerResponse,
): void {
  const { authorization, host, connection, "content-length": length, ...rest } = incoming.headers;
  const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
  // Without a length node:http sends the body of a DELETE as if it were the next request.
  const headers = body === undefined ? rest : { ...rest, "content-length": body.length };
  const target = new URL(incoming.url ?? "/", upstream.url);
  const outgoing = https.request(target, { method: incoming.method ?? "GET", headers, agent: upstream.agent });
  outgoing.on("response", (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers).flushHeaders();
    answer.on("error", () => response.destroy());
    answer.pipe(response);
  });
  outgoing.on("error", () => response.destroy());
  response.on("close", () => outgoing.destroy());
  outgoing.end(body);
}
