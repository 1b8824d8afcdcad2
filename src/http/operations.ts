import { createServer, type Server } from "node:http";
import express, { type Express } from "express";
import type { Registry } from "prom-client";
import type { Component } from "../cluster/component.ts";
import type { Log } from "../log.ts";
import { createErrorHandler } from "./error-handler.ts";

/** A named condition of health: `undefined` is good, else one sentence that says what is missing. */
export type Check = () => string | undefined;
export type Checks = Readonly<Record<string, Check>>;

export type OperationsServer = Component & { port(): number | undefined };

type OperationsNeeds = {
  /** 0: any free one, see `port()`. */
  readonly port: number;
  readonly host?: string | undefined;
  /** Of this process only: never depends on another. */
  readonly live: Checks;
  readonly ready: Checks;
  readonly metrics: Registry;
  readonly log: Log;
};

/**
 * `/livez`, `/readyz` and `/metrics` on a plain port: a probe must not depend on a certificate or on the API server.
 * 200 `ok`, or 503 with one line for each check that fails; `?verbose` lists all of them.
 *
 * @see https://kubernetes.io/docs/reference/using-api/health-checks/
 */
export function createOperationsServer(needs: OperationsNeeds): OperationsServer {
  let server: Server | undefined;
  return {
    name: "operations server",
    port() {
      const address = server?.address();
      return typeof address === "object" && address !== null ? address.port : undefined;
    },
    async run(stop) {
      const listening = createServer(createOperationsApp(needs));
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      listening.once("error", reject);
      listening.listen({ port: needs.port, ...(needs.host === undefined ? {} : { host: needs.host }) }, resolve);
      await promise;
      server = listening;
      if (!stop.aborted) {
        await new Promise((ended) => stop.addEventListener("abort", ended, { once: true }));
      }
      const closed = new Promise((ended) => listening.close(ended));
      listening.closeAllConnections();
      await closed;
      server = undefined;
    },
  };
}

/** The application behind the port; exported so that it can be tested without one. */
export function createOperationsApp(needs: Omit<OperationsNeeds, "port" | "host">): Express {
  const app = express().disable("x-powered-by").disable("etag");
  app.get("/livez", (request, response) => {
    const report = runChecks(needs.live, "verbose" in request.query);
    response.status(report.status).type("text/plain").send(report.text);
  });
  app.get("/readyz", (request, response) => {
    const report = runChecks(needs.ready, "verbose" in request.query);
    response.status(report.status).type("text/plain").send(report.text);
  });
  app.get("/metrics", async (_request, response) => {
    response.set("Content-Type", needs.metrics.contentType).send(await needs.metrics.metrics());
  });
  app.use((_request, response) => void response.status(404).type("text/plain").send("not found\n"));
  app.use(createErrorHandler(needs.log));
  return app;
}

function runChecks(checks: Checks, verbose: boolean): { readonly status: 200 | 503; readonly text: string } {
  const results = Object.entries(checks).map(([name, check]) => ({ name, problem: check() }));
  const isGood = results.every(({ problem }) => problem === undefined);
  const lines = results
    .filter(({ problem }) => verbose || problem !== undefined)
    .map(({ name, problem }) => (problem === undefined ? `[+]${name} ok` : `[-]${name} failed: ${problem}`));
  return { status: isGood ? 200 : 503, text: [...lines, isGood ? "ok" : "not ok", ""].join("\n") };
}
