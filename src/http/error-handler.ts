import type { ErrorRequestHandler } from "express";
import type { Log } from "../log.ts";

/**
 * The last handler of an express application: logs the fault and answers 500 (or the 4xx that express itself raised)
 * with a fixed text. Neither message nor stack leaves the process.
 */
export function createErrorHandler(log: Log): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    const status = clientFault(error) ?? 500;
    if (status === 500) log.error({ err: error, method: request.method, path: request.path }, "a request failed");
    if (response.headersSent) {
      response.destroy();
      return;
    }
    response
      .status(status)
      .type("text/plain")
      .send(status === 500 ? "internal error\n" : "bad request\n");
  };
}

/** @returns the 4xx that express put on an error of the client's making */
function clientFault(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  const { status } = error as { status?: unknown };
  return typeof status === "number" && status >= 400 && status < 500 ? status : undefined;
}
