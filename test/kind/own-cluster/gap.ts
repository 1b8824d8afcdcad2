import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { Login } from "../../../src/credential/login.ts";
import { createRegistryClient, manifestType } from "../../integration/gateway/registry-client.ts";
import type { DirectClient } from "../registry/direct-client.ts";

export type Gap = {
  /** The longest time without an answer, from the last good one to the next, milliseconds. */
  readonly longestMs: number;
  readonly answered: number;
  readonly failed: number;
};

/** `stop` waits for a good answer: the gap that is told is over. */
export type GapProbe = { stop(): Promise<Gap> };

const everyMs = 50;
const manifestTypes = `${manifestType}, application/vnd.docker.distribution.manifest.v2+json`;
const answerWithinMs = 1_000;

/**
 * Asks for a manifest every 50 ms, each time by a new connection, as kubelet does for a pod with imagePullPolicy
 * Always: a good answer takes the gateway and Distribution.
 *
 * @param path `/v2/<repository>/manifests/<tag>`
 * @returns when it has been answered once, so that what comes next is measured from a good answer on
 */
export async function startGapProbe(
  t: TestContext,
  server: DirectClient,
  login: Login,
  path: string,
): Promise<GapProbe> {
  const stopping = new AbortController();
  let wantsAnswer = true;
  const scope = `repository:${/^\/v2\/(.*)\/manifests\//.exec(path)?.[1]}:pull`;
  const counts = { longestMs: 0, answered: 0, failed: 0 };
  let lastMs: number | undefined;
  const first = Promise.withResolvers<void>();

  async function ask(): Promise<boolean> {
    const client = createRegistryClient(server);
    const asked = (async () => {
      const authorization = `Bearer ${await client.token(login, scope)}`;
      const { status } = await client.ask("HEAD", path, { headers: { authorization, accept: manifestTypes } });
      return status === 200;
    })().catch(() => false); // counted below
    const ended = new AbortController();
    const late = pause(answerWithinMs, false, { signal: ended.signal }).catch(() => false);
    try {
      return await Promise.race([asked, late]);
    } finally {
      ended.abort();
      client.close();
    }
  }
  async function run(): Promise<void> {
    let isAnswered = false;
    while (!stopping.signal.aborted || (wantsAnswer && !isAnswered)) {
      isAnswered = await ask();
      if (isAnswered) {
        const nowMs = performance.now();
        counts.longestMs = Math.max(counts.longestMs, nowMs - (lastMs ?? nowMs));
        counts.answered += 1;
        lastMs = nowMs;
        first.resolve();
      } else counts.failed += 1;
      await pause(everyMs);
    }
  }
  const running = run();
  t.after(async () => {
    wantsAnswer = false;
    stopping.abort();
    await running;
  });
  await first.promise;
  return {
    async stop() {
      stopping.abort();
      await running;
      return { ...counts, longestMs: Math.round(counts.longestMs) };
    },
  };
}
