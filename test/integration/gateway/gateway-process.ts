import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Certificates, startGateway } from "./harness.ts";

/** A gateway in a process of its own: it can be killed, and its memory is its own. */
export type GatewayProcess = {
  readonly url: string;
  readonly ca: string;
  /** Memory in bytes: what it holds now, and the most that it ever held; and the processor time that it has used. */
  usage(): Promise<GatewayUsage>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
};

export type GatewayUsage = { readonly rss: number; readonly peak: number; readonly processorMs: number };

type Order = { readonly distributionUrl: string; readonly certificates: Certificates; readonly port: number };

/**
 * @param order.port 0: any free one; a fixed one to start it again where it was
 * @param as.program a bundle of this file; the file itself unless given
 * @param as.nodeOptions of the process, as on a command line
 */
export async function startGatewayProcess(
  order: Order,
  as: { readonly program?: string; readonly nodeOptions?: readonly string[] } = {},
): Promise<GatewayProcess> {
  const program = as.program ?? fileURLToPath(import.meta.url);
  const execArgv = [...process.execArgv, ...(as.nodeOptions ?? [])];
  const child = fork(program, ["gateway"], { stdio: ["ignore", "inherit", "inherit", "ipc"], execArgv });
  child.send(order);
  const { url } = (await answerOf(child)) as { url: string };
  return {
    url,
    ca: order.certificates.ca,
    async usage() {
      child.send("usage");
      return (await answerOf(child)) as GatewayUsage;
    },
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}

async function answerOf(child: ChildProcess): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const fail = () => reject(new Error("the gateway's process ended"));
  child.once("message", resolve);
  child.once("exit", fail);
  try {
    return await promise;
  } finally {
    child.off("exit", fail);
  }
}

/** The process itself. */
async function serve(): Promise<void> {
  const [{ distributionUrl, certificates, port }] = (await once(process, "message")) as [Order];
  const listen = { port, host: "127.0.0.1", lingerMs: 0 };
  const gateway = await startGateway({ distributionUrl, certificates, needs: { listen } });
  process.on("message", () => {
    const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
    const processorMs = (userCPUTime + systemCPUTime) / 1_000;
    process.send?.({ rss: process.memoryUsage().rss, peak: maxRSS * 1_024, processorMs } satisfies GatewayUsage);
  });
  process.once("disconnect", () => process.exit(0));
  process.send?.({ url: gateway.url });
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === "gateway") await serve();
