import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import type { Cluster, KubernetesJson } from "./cluster.ts";

export type WatchEvent = { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: KubernetesJson };

/**
 * Follows one object from now on, whether it is there or not: what is true for a moment only is seen all the same. The
 * watch ends with the test.
 *
 * @param path of its collection, e.g. `/api/v1/nodes`
 */
export async function watchOne(
  t: TestContext,
  cluster: Cluster,
  { path, name }: { readonly path: string; readonly name: string },
): Promise<AsyncIterable<WatchEvent>> {
  const selection = `${path}?fieldSelector=metadata.name%3D${name}`;
  const { metadata } = JSON.parse(await cluster.kubectl(["get", "--raw", selection]));
  const watch = `${selection}&watch=true&resourceVersion=${metadata.resourceVersion}`;
  const args = ["--kubeconfig", cluster.kubeconfig, "get", "--raw", watch];
  const child = spawn("kubectl", args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "close");
  t.after(async () => {
    child.kill();
    await ended;
  });
  async function* events(): AsyncGenerator<WatchEvent> {
    // Not before somebody reads: lines that come until then would be lost.
    for await (const line of createInterface(child.stdout)) yield JSON.parse(line);
    throw new Error(`the watch of ${path}/${name} has ended`);
  }
  return events();
}

/** The first event that fits. */
export async function firstEvent(
  events: AsyncIterable<WatchEvent>,
  fits: (event: WatchEvent) => boolean,
): Promise<KubernetesJson> {
  for await (const event of events) if (fits(event)) return event.object;
  throw new Error("the watch has ended");
}
