import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** A child process whose CPU time and memory are read from /proc (Linux). */
export type MeasuredProcess = {
  readonly child: ChildProcess;
  /** The first line that it printed. */
  readonly firstLine: string;
  /** Seconds of CPU used so far, all threads. */
  cpuSeconds(): number;
  /** Resident memory, MiB. */
  residentMiB(): number;
  stop(): Promise<void>;
};

const ticksPerSecond = Number(spawnSync("getconf", ["CLK_TCK"]).stdout ?? 100) || 100;

/** @param core which core it may run on; undefined: any */
export function onCore(core: number | undefined, command: readonly string[]): readonly string[] {
  return core === undefined ? command : ["taskset", "-c", String(core), ...command];
}

/** Starts a program that prints a line when it is ready. */
export async function startMeasured(
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<MeasuredProcess> {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...env } });
  const lines = createInterface({ input: child.stdout });
  const ended = once(child, "close").then(() => {
    throw new Error(`${command.join(" ")} ended before it was ready`);
  });
  ended.catch(() => undefined); // it ends at the end of every measurement
  const [firstLine] = (await Promise.race([once(lines, "line"), ended])) as [string];
  return {
    child,
    firstLine,
    cpuSeconds() {
      const stat = readFileSync(`/proc/${child.pid}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
    },
    residentMiB() {
      const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"));
      return Number(match?.[1] ?? Number.NaN) / 1024;
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const closed = once(child, "close");
      child.kill("SIGTERM");
      await closed;
    },
  };
}
