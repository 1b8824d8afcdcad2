import { type ChildProcess, spawn } from "node:child_process";
import type { Clock } from "../clock.ts";
import { SlipwayError } from "../errors.ts";

/** A program that this process started and that it ends by its own handle, never by a name. */
export type RunningProgram = {
  readonly pid: number;
  /** The last 64 KiB of what it wrote, both streams: for error messages. */
  output(): string;
  /** Resolves when the program has ended, whatever the cause. */
  readonly ended: Promise<void>;
  /** SIGTERM, and SIGKILL after 5 s; resolves when the program has ended. */
  stop(): Promise<void>;
};

const keptOutputCharacters = 64 * 1024;
const graceMs = 5_000;
const pollMs = 50;

/**
 * Starts a program and waits until `isReady` says true.
 *
 * @param needs.env the whole environment of the program: nothing is inherited
 * @throws SlipwayError PROGRAM_FAILED when it ends, or is not ready within `timeoutMs`; with its last output
 */
export async function startProgram(needs: {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly isReady: () => Promise<boolean>;
  readonly timeoutMs: number;
  readonly clock: Clock;
}): Promise<RunningProgram> {
  const child = spawn(needs.command, [...needs.args], { env: { ...needs.env }, stdio: ["ignore", "pipe", "pipe"] });
  const program = watchProgram(child);
  const deadlineMs = needs.clock.monotonicMs() + needs.timeoutMs;
  const gaveUp = new AbortController();
  let hasEnded = false;
  const ended = program.ended.then(() => {
    hasEnded = true;
    gaveUp.abort();
  });
  try {
    while (!hasEnded && needs.clock.monotonicMs() < deadlineMs) {
      if (await needs.isReady()) return program;
      await Promise.race([needs.clock.sleep(pollMs, gaveUp.signal).catch(ignoreAbort), ended]);
    }
  } catch (error) {
    await program.stop();
    throw error;
  }
  const why = hasEnded ? "it ended before it answered" : `it did not answer within ${needs.timeoutMs} ms`;
  await program.stop();
  throw new SlipwayError("PROGRAM_FAILED", `${needs.command}: ${why}; its last output:\n${program.output()}`);
}

function watchProgram(child: ChildProcess): RunningProgram {
  let text = "";
  const keep = (chunk: Buffer) => {
    text = (text + chunk.toString("utf8")).slice(-keptOutputCharacters);
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  // Without this a parent that dies of an uncaught exception leaves its servers behind.
  const killOnExit = () => child.kill("SIGKILL");
  process.once("exit", killOnExit);
  const ended = new Promise<void>((resolve) => {
    const settle = () => {
      process.removeListener("exit", killOnExit);
      resolve();
    };
    child.once("error", (error) => {
      text += `${error.message}\n`;
      settle();
    });
    child.once("close", settle);
  });
  return {
    pid: child.pid ?? 0,
    output: () => text,
    ended,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return ended;
      child.kill("SIGTERM");
      const killer = setTimeout(() => child.kill("SIGKILL"), graceMs);
      await ended;
      clearTimeout(killer);
    },
  };
}

function ignoreAbort(error: unknown): void {
  if (!(error instanceof Error && error.name === "AbortError")) throw error;
}
