import { spawn } from "node:child_process";

export type KubectlResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** Runs kubectl to its end; what it says is the test's matter. @param input goes to standard input as JSON */
export function runKubectl(command: string, args: readonly string[], input?: unknown): Promise<KubectlResult> {
  const { promise, resolve, reject } = Promise.withResolvers<KubectlResult>();
  const child = spawn(command, [...args], { stdio: ["pipe", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
  child.once("error", reject);
  child.once("close", (code) => resolve({ code: code ?? -1, stdout, stderr }));
  child.stdin.on("error", () => {}); // a kubectl that refuses its arguments does not read its input
  child.stdin.end(input === undefined ? undefined : JSON.stringify(input));
  return promise;
}
