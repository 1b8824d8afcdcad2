import { randomInt } from "node:crypto";
import { request } from "node:http";
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

/** It takes a tenth of a second; a machine that is busy otherwise may take long. One that ends is noticed at once. */
const startLimitMs = 60_000;

async function startOn(address: string, options: Parameters<typeof startDistribution>[0]): Promise<Distribution> {
  const program = await startProgram({
    command: options.program,
    args: ["serve", options.configFile],
    // Distribution 3 would try to send traces to a collector on loopback.
    env: { OTEL_TRACES_EXPORTER: "none", ...options.environment, REGISTRY_HTTP_ADDR: address },
    isReady: () => answers(address),
    timeoutMs: options.timeoutMs ?? startLimitMs,
    clock: options.clock ?? systemClock,
  });
  return { address, url: `http://${address}`, program, stop: () => program.stop() };
}

/**
 * Below where a kernel takes ports for connections and for listeners that name none (32768 and up on Linux): one that
 * is free now is then not given to somebody else before it is used. Above are the NodePorts of Kubernetes.
 *
 * @see https://docs.kernel.org/networking/ip-sysctl.html (ip_local_port_range)
 */
const portRange = { from: 12_000, to: 30_000 };
const portTries = 100;

/**
 * A port of 127.0.0.1 that was free a moment ago.
 *
 * @throws SlipwayError PROGRAM_FAILED where a hundred of them are taken
 */
export async function freePort(): Promise<number> {
  for (let count = 0; count < portTries; count++) {
    const port = randomInt(portRange.from, portRange.to);
    if (await isFree(port)) return port;
  }
  throw new SlipwayError("PROGRAM_FAILED", `of ${portTries} ports of 127.0.0.1 none was free`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const isBound = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => resolve(true));
  });
  if (isBound) await new Promise<void>((resolve) => server.close(() => resolve()));
  return isBound;
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
