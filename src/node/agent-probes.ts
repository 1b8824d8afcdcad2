import { createServer, type Server } from "node:http";
import type { Clock } from "../clock.ts";
import type { Component } from "../cluster/component.ts";
import type { Log } from "../log.ts";
import { errorCode } from "./disk.ts";

const retryMs = 10_000;

export type AgentProbes = Component & { readonly port: () => number | undefined };

/**
 * `/livez` and `/readyz` of the agent, on the loopback of the host: nothing of it is open to the network. A port that
 * is taken is logged and tried again; kubelet's probe says the rest.
 */
export function createAgentProbes(needs: {
  readonly port: number;
  readonly live: () => boolean;
  readonly ready: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
}): AgentProbes {
  let bound: number | undefined;
  const checks: Readonly<Record<string, () => boolean>> = { "/livez": needs.live, "/readyz": needs.ready };
  const server = createServer((request, response) => {
    const check = checks[request.url?.split("?")[0] ?? ""];
    const status = check === undefined ? 404 : check() ? 200 : 503;
    response.writeHead(status, { "content-type": "text/plain" }).end(status === 200 ? "ok\n" : "not ok\n");
  });
  server.keepAliveTimeout = 1_000;

  async function listen(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const fault = await tryListening(server, needs.port);
      if (fault === undefined) return;
      needs.log.error({ port: needs.port, code: errorCode(fault) }, "the agent's probes cannot be served");
      await needs.clock.sleep(retryMs, stop).catch((error: unknown) => {
        if (!stop.aborted) throw error;
      });
    }
  }

  return {
    name: "agent-probes",
    port: () => bound,
    async run(stop) {
      const stopped = Promise.withResolvers<void>();
      stop.addEventListener("abort", () => stopped.resolve(), { once: true });
      if (stop.aborted) return;
      await listen(stop);
      const address = server.address();
      bound = typeof address === "object" && address !== null ? address.port : undefined;
      await stopped.promise;
      bound = undefined;
      server.closeAllConnections();
      server.close();
    },
  };
}

function tryListening(server: Server, port: number): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const onError = (error: unknown) => resolve(error);
  server.once("error", onError);
  server.listen({ host: "127.0.0.1", port, exclusive: true }, () => {
    server.off("error", onError);
    resolve(undefined);
  });
  return promise;
}
