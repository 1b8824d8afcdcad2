import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { Login } from "../../../src/credential/login.ts";
import { createRegistryClient, manifestType } from "../../integration/gateway/registry-client.ts";
import type { DirectClient } from "./direct-client.ts";

export type Gap = {
  /** The longest time without an answer, from the last good one to the next, milliseconds. */
  readonly longestMs: number;
  readonly answered: number;
  readonly failed: number;
};

export type GapProbe = { stop(): Promise<Gap> };

const everyMs = 50;
const manifestTypes = `${manifestType}, application/vnd.docker.distribution.manifest.v2+json`;
const answerWithinMs = 1_000;

/**
 * Asks for a manifest every 50 ms, each time by a new connection, as kubelet does for a pod with imagePullPolicy
 * Always: a good answer takes the gateway and Distribution.
 *
 * @param path `/v2/<repository>/manifests/<tag>`
 */
export function startGapProbe(t: TestContext, server: DirectClient, login: Login, path: string): GapProbe {
  const stopping = new AbortController();
  const scope = `repository:${/^\/v2\/(.*)\/manifests\//.exec(path)?.[1]}:pull`;
  const counts = { longestMs: 0, answered: 0, failed: 0 };
  let lastMs = performance.now();

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
    while (!stopping.signal.aborted) {
      if (await ask()) {
        const nowMs = performance.now();
        counts.longestMs = Math.max(counts.longestMs, nowMs - lastMs);
        counts.answered += 1;
        lastMs = nowMs;
      } else counts.failed += 1;
      await pause(everyMs);
    }
  }
  const running = run();
  const end = async () => {
    stopping.abort();
    await running;
  };
  t.after(end);
  return {
    async stop() {
      await end();
      return { ...counts, longestMs: Math.round(counts.longestMs) };
    },
  };
}
