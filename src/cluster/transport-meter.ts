import type { Registry } from "prom-client";
import { counterAt, secondsAt } from "./metric.ts";

export type TransportMeter = {
  /** @param status 0 when no answer came */
  count(method: string, status: number, durationMs: number): void;
  retried(status: number): void;
};

export function createTransportMeter(registry: Registry): TransportMeter {
  const requests = counterAt(registry, {
    name: "slipway_api_requests_total",
    help: "Requests to the API server by method and status; 0 when no answer came",
    labelNames: ["method", "status"],
  });
  const seconds = secondsAt(registry, {
    name: "slipway_api_request_seconds",
    help: "Duration of requests to the API server; of a watch, until its headers",
    labelNames: ["method"],
  });
  const retries = counterAt(registry, {
    name: "slipway_api_retries_total",
    help: "Requests to the API server that were repeated, by the status that caused it",
    labelNames: ["status"],
  });
  return {
    count(method, status, durationMs) {
      requests.inc({ method, status: String(status) });
      seconds.observe({ method }, durationMs / 1000);
    },
    retried: (status) => retries.inc({ status: String(status) }),
  };
}
