import { request } from "node:http";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { type Clock, systemClock } from "../clock.ts";
import { SlipwayError } from "../errors.ts";
import { type RunningProgram, startProgram } from "./process.ts";

/** A CNCF Distribution process on loopback, plain HTTP. */
export type Distribution = {
  /** `127.0.0.1:<port>` */
  readonly address: string;
  readonly url: string;
  readonly program: RunningProgram;
  stop(): Promise<void>;
};

/**
 * Starts `registry serve CONFIG` on loopback and waits until it answers.
 *
 * @param options.program path of the `registry` program, see programs.ts
 * @param options.configFile a Distribution configuration; its `http.addr` is overridden by the chosen address
 * @param options.port a fixed port; absent: a free one, tried again when another process takes it first
 * @param options.environment further `REGISTRY_…` variables; nothing else is inherited
 * @throws SlipwayError PROGRAM_FAILED with the last output of the process
 * @see https://distribution.github.io/distribution/about/configuration/#override-specific-configuration-options
 */
export async function startDistribution(options: {
  readonly program: string;
  readonly configFile: string;
  readonly port?: number;
  readonly environment?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly clock?: Clock;
}): Promise<Distribution> {
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    try {
      return await startOn(`127.0.0.1:${port}`, options);
    } catch (error) {
      const taken = error instanceof SlipwayError && error.message.includes("address already in use");
      if (!taken || options.port !== undefined || attempt === 3) throw error;
    }
  }
}

async function startOn(address: string, options: Parameters<typeof startDistribution>[0]): Promise<Distribution> {
  const program = await startProgram({
    command: options.program,
    args: ["serve", options.configFile],
    // Distribution 3 would try to send traces to a collector on loopback.
    env: { OTEL_TRACES_EXPORTER: "none", ...options.environment, REGISTRY_HTTP_ADDR: address },
    isReady: () => answers(address),
    timeoutMs: options.timeoutMs ?? 10_000,
    clock: options.clock ?? systemClock,
  });
  return { address, url: `http://${address}`, program, stop: () => program.stop() };
}

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

/** Any HTTP answer counts: with authentication on, `/v2/` is 401. */
function answers(address: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const probe = request(`http://${address}/`, { timeout: 1_000, agent: false }, (response) => {
    response.resume();
    resolve(true);
  });
  probe.once("timeout", () => probe.destroy());
  probe.once("error", () => resolve(false));
  probe.once("close", () => resolve(false));
  probe.end();
  return promise;
}
