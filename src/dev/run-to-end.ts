import { spawn } from "node:child_process";
import { SlipwayError } from "../errors.ts";

/**
 * Runs a program to its end with the environment of this process. Its output is kept for the error only.
 *
 * @returns what it wrote to standard output
 * @throws SlipwayError PROGRAM_MISSING when there is no such program; PROGRAM_FAILED, with its last output, when it
 *   ends with anything but 0
 */
export async function runToEnd(call: {
  readonly command: string;
  readonly args: readonly string[];
  readonly directory?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = spawn(call.command, [...call.args], {
    stdio: ["ignore", "pipe", "pipe"],
    ...(call.directory === undefined ? {} : { cwd: call.directory }),
    ...(call.env === undefined ? {} : { env: { ...call.env } }),
  });
  let stdout = "";
  let everything = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString("utf8");
    everything += chunk.toString("utf8");
  });
  child.stderr.on("data", (chunk: Buffer) => {
    everything += chunk.toString("utf8");
  });
  child.once("error", (cause) => {
    reject(new SlipwayError("PROGRAM_MISSING", `${call.command}: ${cause.message}`, { cause }));
  });
  child.once("close", (code, signal) => {
    if (code === 0) return resolve(stdout);
    const how = code === null ? `was ended by ${signal}` : `ended with ${code}`;
    const line = [call.command, ...call.args].join(" ");
    reject(new SlipwayError("PROGRAM_FAILED", `${line} ${how}; its last output:\n${everything.slice(-4_000)}`));
  });
  return promise;
}
