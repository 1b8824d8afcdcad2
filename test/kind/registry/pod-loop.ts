import type { Cluster } from "../cluster.ts";
import { podManifest } from "./pod.ts";

export type PodLoop = {
  /** Pods that have been started, and have run to their end, so far. */
  started(): number;
  /** Resolves when `count` more pods have been started from now on; rejects as `stop` does. */
  more(count: number): Promise<void>;
  /** Ends the loop. @throws Error of the first pod that did not come to its end */
  stop(): Promise<void>;
};

/** Of each pod: created, its image pulled, its program run and ended. */
const secondsForOne = 60;

/**
 * Starts one short pod after the other in each namespace, with imagePullPolicy Always, so that each asks the registry
 * with its namespace's login. The pods stay, so that their Events tell of every pull that failed.
 */
export function startPodLoop(cluster: Cluster, image: string, namespaces: readonly string[]): PodLoop {
  let stopping = false;
  let started = 0;
  let waiting: { readonly until: number; readonly resolve: () => void } | undefined;
  async function loop(namespace: string): Promise<void> {
    for (let index = 0; !stopping; index++) {
      const name = `load-${index}`;
      await cluster.apply(podManifest({ name, namespace, image, pullPolicy: "Always", command: ["true"] }));
      const done = "jsonpath={.status.phase}=Succeeded";
      await cluster.wait(`pod/${name}`, done, { namespace, timeoutSeconds: secondsForOne });
      started += 1;
      if (waiting !== undefined && started >= waiting.until) waiting.resolve();
    }
  }
  const loops = Promise.all(namespaces.map(loop));
  // Told to whoever asks for more or stops; until then it is nobody's.
  loops.catch(() => {});
  return {
    started: () => started,
    async more(count) {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting = { until: started + count, resolve };
      await Promise.race([promise, loops]);
    },
    async stop() {
      stopping = true;
      await loops;
    },
  };
}
