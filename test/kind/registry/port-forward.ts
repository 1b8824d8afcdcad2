import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import type { Cluster } from "../cluster.ts";

/**
 * Runs `kubectl port-forward` until the test is over; resolves when it listens.
 *
 * @param args what follows `kubectl`
 */
export async function startPortForward(t: TestContext, cluster: Cluster, args: readonly string[]): Promise<void> {
  const child = spawn("kubectl", ["--kubeconfig", cluster.kubeconfig, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(child, "close");
  t.after(async () => {
    child.kill();
    await ended;
  });
  await listening(child);
}

async function listening(child: ChildProcess): Promise<void> {
  const errors: string[] = [];
  child.stderr?.setEncoding("utf8").on("data", (text: string) => errors.push(text));
  if (child.stdout === null) throw new Error("the output of kubectl port-forward is not piped");
  for await (const line of createInterface(child.stdout)) {
    if (!line.startsWith("Forwarding from")) continue;
    child.stdout.resume();
    return;
  }
  throw new Error(`kubectl port-forward ended: ${errors.join("")}`);
}
