import type { IncomingMessage } from "node:http";
import type { Registry } from "prom-client";
import type { Clock } from "../clock.ts";
import { counterAt, secondsAt } from "../cluster/metric.ts";
import type { Log } from "../log.ts";

/** What is known of a request while it is answered; filled in on the way. */
export type AuditRecord = {
  /** From a short fixed list: it is a label of the metrics. */
  action: string;
  identity?: string;
  repository?: string;
  reference?: string;
  bytesIn: number;
  bytesOut: number;
};

export type Audit = {
  begin(request: IncomingMessage): { readonly record: AuditRecord; end(status: number): void };
};

/** Stands for the status where the client went away before there was one, as in nginx. */
export const unansweredStatus = 499;

/** One line and a few figures per request. No header, no query, no password ever gets into either. */
export function createAudit(needs: { readonly log: Log; readonly metrics: Registry; readonly clock: Clock }): Audit {
  const requests = counterAt(needs.metrics, {
    name: "slipway_gateway_requests_total",
    help: "Requests by action and status",
    labelNames: ["action", "status"],
  });
  const bytes = counterAt(needs.metrics, {
    name: "slipway_gateway_bytes_total",
    help: "Bytes of bodies, by action and direction",
    labelNames: ["action", "direction"],
  });
  const seconds = secondsAt(needs.metrics, {
    name: "slipway_gateway_request_seconds",
    help: "Time to the end of the answer, by action",
    labelNames: ["action"],
  });
  return {
    begin(request) {
      const startMs = needs.clock.monotonicMs();
      const record: AuditRecord = { action: "other", bytesIn: 0, bytesOut: 0 };
      const address = request.socket.remoteAddress;
      return {
        record,
        end(status) {
          const { action, bytesIn, bytesOut } = record;
          const elapsedMs = needs.clock.monotonicMs() - startMs;
          requests.inc({ action, status: String(status) });
          bytes.inc({ action, direction: "in" }, bytesIn);
          bytes.inc({ action, direction: "out" }, bytesOut);
          seconds.observe({ action }, elapsedMs / 1_000);
          needs.log.info({ audit: { ...record, status, address, ms: Math.round(elapsedMs) } }, "registry request");
        },
      };
    },
  };
}
