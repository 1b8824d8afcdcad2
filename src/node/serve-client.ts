import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { type NodeReport, pollSeconds } from "./protocol.ts";
import { type CheckedOrders, checkOrders } from "./validate-orders.ts";

/** Connecting, TLS and the way back, on top of the time that serve holds a poll. */
const slackMs = 20_000;
const answerLimitBytes = 1024 * 1024;

export type PollOutcome =
  | { readonly kind: "orders"; readonly checked: CheckedOrders }
  | { readonly kind: "refused"; readonly message: string; readonly retryAfterMs: number | undefined };

/** The agent's side of the long poll. */
export type ServeClient = {
  /** @throws the system's error when serve cannot be reached, the signal's reason when it aborts */
  poll(report: NodeReport, signal: AbortSignal): Promise<PollOutcome>;
};

/**
 * @param needs.url serve's address with its path, e.g. `https://slipway.slipway-system.svc:8443/node`
 * @param needs.readCa PEM by which serve is trusted; read for each poll, since CAs change
 * @param needs.readToken the projected token; read for each poll, since kubelet renews it
 */
export function createServeClient(needs: {
  readonly url: string;
  readonly readCa: () => Promise<string>;
  readonly readToken: () => Promise<string>;
}): ServeClient {
  return {
    async poll(report, signal) {
      const [ca, token] = await Promise.all([needs.readCa(), needs.readToken()]);
      const limit = AbortSignal.any([signal, AbortSignal.timeout(pollSeconds * 1000 + slackMs)]);
      return judge(await exchange({ url: needs.url, ca, token: token.trim() }, JSON.stringify(report), limit));
    },
  };
}

type Answer = { readonly status: number; readonly retryAfter: string | undefined; readonly text: string };

async function exchange(
  to: { readonly url: string; readonly ca: string; readonly token: string },
  body: string,
  signal: AbortSignal,
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = httpsRequest(to.url, {
    method: "POST",
    agent: false,
    ca: to.ca,
    signal,
    headers: {
      authorization: `Bearer ${to.token}`,
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    },
  });
  request.on("error", reject);
  request.on("response", resolve);
  request.end(body);
  const response = await promise;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > answerLimitBytes) throw new Error(`the answer of ${to.url} is larger than ${answerLimitBytes} bytes`);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks, size).toString("utf8");
  return { status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"], text };
}

function judge({ status, retryAfter, text }: Answer): PollOutcome {
  const seconds = Number(retryAfter);
  const retryAfterMs = retryAfter !== undefined && Number.isFinite(seconds) ? seconds * 1000 : undefined;
  if (status !== 200) return { kind: "refused", message: `serve answered ${status}${advice(status)}`, retryAfterMs };
  const checked = checkOrders(parseJson(text));
  if (checked !== undefined) return { kind: "orders", checked };
  return { kind: "refused", message: "serve's answer is not an order that this version accepts", retryAfterMs };
}

function advice(status: number): string {
  return status === 401 ? ": the token is not the agent's; look at ServiceAccount and audience of its volume" : "";
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON is no order; the caller says so.
    return undefined;
  }
}
