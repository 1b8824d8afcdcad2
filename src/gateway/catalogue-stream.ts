import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../clock.ts";
import { ApiError } from "../cluster/api.ts";
import type { TokenReviewer } from "../cluster/token-review.ts";
import { gatewayAudience, serveAccount } from "../config/names.ts";
import type { Log } from "../log.ts";
import { type StreamEvent, streamHeartbeatMs, streamProtocolVersion } from "../registry/stream-protocol.ts";
import { claimsAudience } from "./account.ts";
import type { AuditRecord } from "./audit.ts";
import type { EventHub } from "./event-hub.ts";
import { sendError } from "./refusal.ts";
import type { Throttle } from "./throttle.ts";

export type CatalogueStreams = {
  handle(request: IncomingMessage, response: ServerResponse, record: AuditRecord): Promise<void>;
  /** Ends every open stream, and those that begin later at once. */
  end(): void;
};

/** A reader this far behind is cut off; it lists anew when it comes back. */
export const backlogLimitBytes = 4 * 1024 * 1024;

/**
 * Serves src/registry/stream-protocol.ts to serve's own account, which proves itself by a token that is meant for
 * gateways alone: a pod's ordinary token is of no use here, and this one nowhere else.
 */
export function createCatalogueStreams(needs: {
  readonly hub: EventHub;
  readonly tokenReviewer: TokenReviewer;
  /** Where serve lives. */
  readonly namespace: string;
  readonly throttle: Throttle;
  /** Accepted key generations. */
  readonly generations: () => readonly number[];
  readonly isReadOnly: () => boolean;
  /** What the registry's volume holds; undefined while unknown, and where there is no volume. */
  readonly bytesUsed: () => number | undefined;
  readonly clock: Clock;
  readonly log: Log;
}): CatalogueStreams {
  const ended = new AbortController();
  const account = `system:serviceaccount:${needs.namespace}:${serveAccount}`;
  return {
    end: () => ended.abort(),
    async handle(request, response, record) {
      record.action = "stream";
      const verdict = await authenticate(needs, request, account);
      if (verdict === "unavailable") {
        return sendError(response, 503, { code: "UNAVAILABLE", message: "service unavailable" });
      }
      if (verdict === "refused") {
        return sendError(response, 401, { code: "UNAUTHORIZED", message: "authentication required" });
      }
      record.identity = account;
      await stream(needs, response, ended.signal);
    },
  };
}

type StreamNeeds = Parameters<typeof createCatalogueStreams>[0];

async function authenticate(
  needs: StreamNeeds,
  request: IncomingMessage,
  account: string,
): Promise<"accepted" | "refused" | "unavailable"> {
  const [, token] = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? "") ?? [];
  const address = request.socket.remoteAddress ?? "";
  const isWorthAsking = token !== undefined && claimsAudience(token, gatewayAudience, needs.clock.nowMs());
  if (!isWorthAsking || needs.throttle.isOver(address)) return "refused";
  try {
    const verdict = await needs.tokenReviewer.review(token, gatewayAudience, AbortSignal.timeout(10_000));
    const isServe = verdict.kind === "authenticated" && verdict.username === account;
    if (isServe && verdict.audiences.includes(gatewayAudience)) return "accepted";
    needs.throttle.fail(address);
    return "refused";
  } catch (error) {
    if (!(error instanceof ApiError) && !(error instanceof DOMException)) throw error;
    needs.log.warn({ err: error }, "the token of a catalogue stream could not be reviewed");
    return "unavailable";
  }
}

async function stream(needs: StreamNeeds, response: ServerResponse, ended: AbortSignal): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const stop = AbortSignal.any([ended, gone.signal]);
  const write = (event: StreamEvent): void => {
    response.write(`${JSON.stringify(event)}\n`);
    if (response.writableLength > backlogLimitBytes) response.destroy();
  };
  const state = () => {
    const bytesUsed = needs.bytesUsed();
    return { generations: needs.generations(), ...(bytesUsed === undefined ? {} : { bytesUsed }) };
  };
  response.writeHead(200, { "Content-Type": "application/x-ndjson", "Cache-Control": "no-store" });
  const unsubscribe = needs.hub.subscribe(write);
  write({
    type: "hello",
    protocol: streamProtocolVersion,
    readOnly: needs.isReadOnly(),
    ...state(),
  });
  try {
    while (!stop.aborted) {
      await needs.clock.sleep(streamHeartbeatMs, stop);
      write({ type: "heartbeat", ...state() });
    }
  } catch (error) {
    if (!stop.aborted) throw error;
  } finally {
    unsubscribe();
    response.end();
  }
}
