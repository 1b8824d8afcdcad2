import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { slipwayVersion } from "../version.ts";
import type { ApiRequest } from "./api.ts";
import type { Connection } from "./connection-pool.ts";

/** Sends one request. @returns the answer once its headers are in. @throws what the connection or the signal says */
export function sendRequest(
  request: ApiRequest,
  connection: Connection & { readonly server: URL },
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  if (signal.aborted) {
    reject(signal.reason);
    return promise;
  }
  const { server, agent } = connection;
  const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
  const options: https.RequestOptions = {
    host: server.hostname.replace(/^\[|\]$/g, ""),
    port: server.port,
    path: targetOf(request, server),
    method: request.method,
    agent,
    headers: headersOf(request, connection, body),
  };
  const outgoing = server.protocol === "http:" ? http.request(options) : https.request(options);
  const onAbort = () => outgoing.destroy(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
  signal.addEventListener("abort", onAbort, { once: true });
  outgoing.on("response", resolve);
  outgoing.on("error", (error) => reject(signal.aborted ? signal.reason : error));
  outgoing.on("close", () => signal.removeEventListener("abort", onAbort));
  outgoing.end(body);
  return promise;
}

function targetOf(request: ApiRequest, server: URL): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(request.query ?? {})) if (value !== undefined) query.set(name, value);
  const path = `${server.pathname.replace(/\/$/, "")}${request.path}`;
  const text = query.toString();
  if (text === "") return path;
  return `${path}${path.includes("?") ? "&" : "?"}${text}`;
}

function headersOf(request: ApiRequest, connection: Connection, body: Buffer | undefined): http.OutgoingHttpHeaders {
  return {
    ...connection.headers,
    accept: request.accept ?? "application/json",
    "user-agent": `slipway/${slipwayVersion}`,
    ...(body === undefined
      ? {}
      : { "content-type": request.contentType ?? "application/json", "content-length": body.length }),
  };
}

/** The whole body as text. @throws what the connection or the signal says when it ends early */
export function readBody(answer: IncomingMessage, signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const chunks: Buffer[] = [];
  answer.on("data", (chunk: Buffer) => chunks.push(chunk));
  answer.on("end", () => resolve((chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))?.toString() ?? ""));
  answer.on("error", (error) => reject(signal.aborted ? signal.reason : error));
  answer.on("close", () => reject(new Error("the connection ended within the body")));
  return promise;
}
