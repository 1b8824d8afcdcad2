import type { Cluster } from "./cluster.ts";
import { type PodWish, podManifest } from "./pod.ts";

export type PodLoop = {
  /** Resolves when each place has begun and ended `count` more pods from now on; rejects as `stop` does. */
  more(count: number): Promise<void>;
  /** Ends the loop. @throws Error of the first pod that did not come to its end */
  stop(): Promise<void>;
};

/** Where one loop starts its pods. */
export type PodLoopPlace = Pick<PodWish, "namespace" | "node"> & { readonly prefix: string };

/**
 * Starts one short pod after the other in each place, with imagePullPolicy Always, so that each asks the registry
 * with its namespace's login. The next one comes when the last one has ended, however long that takes on a slow
 * machine. The pods stay, so that their Events tell of every pull that failed.
 */
export function startPodLoop(cluster: Cluster, image: string, places: readonly PodLoopPlace[]): PodLoop {
  let stopping = false;
  const loops = places.map((place) => createLoop(place));
  const all = Promise.all(loops.map(({ run }) => run()));
  // Told to whoever asks for more or stops; until then it is nobody's.
  all.catch(() => {});

  function createLoop({ prefix, ...place }: PodLoopPlace) {
    let ended = 0;
    const waiting = new Set<{ readonly until: number; readonly resolve: () => void }>();
    async function run(): Promise<void> {
      while (!stopping) {
        const name = `${prefix}-${ended}`;
        await cluster.apply(podManifest({ name, ...place, image, pullPolicy: "Always", command: ["true"] }));
        await cluster.wait(`pod/${name}`, "jsonpath={.status.phase}=Succeeded", { namespace: place.namespace });
        ended += 1;
        for (const each of waiting) if (ended >= each.until) each.resolve();
      }
    }
    /** The one that is on its way does not count. */
    async function more(count: number): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.add({ until: ended + 1 + count, resolve });
      await promise;
    }
    return { run, more };
  }

  return {
    async more(count) {
      await Promise.race([Promise.all(loops.map((loop) => loop.more(count))), all]);
    },
    async stop() {
      stopping = true;
      await all;
    },
  };
}
