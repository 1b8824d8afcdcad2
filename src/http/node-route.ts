import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../clock.ts";
import type { TokenReviewer } from "../cluster/token-review.ts";
import { agentAudience } from "../config/names.ts";
import type { Log } from "../log.ts";
import { agentIdentity, mayBeAgentToken } from "../node/agent-token.ts";
import type { DeskAnswer, NodeDesk, NodeIdentity } from "../node/desk.ts";
import type { NodeReport } from "../node/protocol.ts";
import { parseReport } from "../node/report.ts";
import { readBody } from "./body.ts";
import type { HttpHandler } from "./server.ts";

/** A report of four modes is some 2 KiB. */
export const nodeReportLimitBytes = 32 * 1024;

const reviewTimeoutMs = 10_000;

export type NodeRouteNeeds = {
  readonly desk: Pick<NodeDesk, "poll">;
  readonly reviewer: TokenReviewer;
  readonly clock: Clock;
  readonly log: Log;
  /** Reviews that may be under way at once; 32 unless given. */
  readonly reviewLimit?: number;
};

type Refusal = { readonly status: number; readonly message: string; readonly retryAfterSeconds?: number };

/**
 * Handler of `POST /node`, the long poll of node agents: JSON both ways, 200 with the orders, 401 for a token that
 * is not the agent's, 413 beyond 32 KiB, 503 with Retry-After while this replica knows no orders or is full.
 */
export function createNodeRoute(needs: NodeRouteNeeds): HttpHandler {
  const limit = needs.reviewLimit ?? 32;
  let reviews = 0;

  async function identify(request: IncomingMessage, signal: AbortSignal): Promise<NodeIdentity | Refusal> {
    const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "") ?? [];
    const refused = { status: 401, message: "only the node agent's token of audience slipway-agent is accepted" };
    if (token === undefined || !mayBeAgentToken(token, needs.clock.nowMs())) return refused;
    if (reviews >= limit) return { status: 503, message: "too many tokens under review", retryAfterSeconds: 2 };
    reviews += 1;
    try {
      const verdict = await needs.reviewer.review(token, agentAudience, within(signal, reviewTimeoutMs));
      return agentIdentity(verdict) ?? refused;
    } catch (error) {
      if (!signal.aborted) needs.log.warn({ err: error }, "the token of a node agent could not be reviewed");
      return { status: 503, message: "the token could not be reviewed", retryAfterSeconds: 5 };
    } finally {
      reviews -= 1;
    }
  }

  async function readPoll(
    request: IncomingMessage,
    signal: AbortSignal,
  ): Promise<{ readonly identity: NodeIdentity; readonly report: NodeReport } | Refusal> {
    const identity = await identify(request, signal);
    if ("status" in identity) return identity;
    const report = await readReport(request);
    return "status" in report ? report : { identity, report };
  }

  async function answer(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const asked = request.method === "POST" ? await readPoll(request, signal) : { status: 405, message: "POST only" };
    if ("status" in asked) refuse(response, asked);
    else send(response, await needs.desk.poll(asked.identity, asked.report, signal));
  }

  return async (request, response) => {
    const gone = new AbortController();
    response.once("close", () => gone.abort(new Error("the agent went away")));
    try {
      await answer(request, response, gone.signal);
    } catch (error) {
      // The agent hung up, which is how it brings news: there is nobody to answer.
      if (gone.signal.aborted) return;
      needs.log.error({ err: error }, "a poll of a node agent failed");
      refuse(response, { status: 500, message: "internal error", retryAfterSeconds: 5 });
    }
  };
}

async function readReport(request: IncomingMessage): Promise<NodeReport | Refusal> {
  const body = await readBody(request, { limitBytes: nodeReportLimitBytes, contentType: "application/json" });
  if (body.kind === "aborted") return { status: 400, message: "the body did not arrive" };
  if (body.kind === "refused") return { status: body.status, message: body.reason };
  return parseReport(parseJson(body.bytes)) ?? { status: 400, message: "the body is no report of a node agent" };
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    // Not JSON is not a report either; the caller answers 400.
    return undefined;
  }
}

function send(response: ServerResponse, answer: DeskAnswer): void {
  if (answer.kind === "orders") write(response, 200, answer.orders);
  else refuse(response, unanswered[answer.kind]);
}

const unanswered: Readonly<Record<"unknown" | "busy", Refusal>> = {
  unknown: { status: 503, message: "orders are not known yet", retryAfterSeconds: 2 },
  busy: { status: 503, message: "too many polls are waiting", retryAfterSeconds: 10 },
};

function refuse(response: ServerResponse, refusal: Refusal): void {
  if (refusal.retryAfterSeconds !== undefined) response.setHeader("retry-after", String(refusal.retryAfterSeconds));
  if (refusal.status === 401) response.setHeader("www-authenticate", "Bearer");
  write(response, refusal.status, { error: refusal.message });
}

function write(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { "content-type": "application/json", "content-length": bytes.length });
  response.end(bytes);
}

function within(signal: AbortSignal, timeoutMs: number): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
}
