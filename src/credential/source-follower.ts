import type { Clock, Random } from "../clock.ts";
import type { Component } from "../cluster/component.ts";
import { canonicalJson } from "../config/compiled-secret.ts";
import type { Log } from "../log.ts";
import type { CredentialSource, SourceReading } from "./source.ts";

/**
 * Reads each source once per refresh, however many namespaces and PullCredentials use it, and keeps what it gave.
 */
export type SourceFollower = Component & {
  /** Replaces the set of sources; those with a known id go on as they are. */
  follow(sources: readonly CredentialSource[]): void;
  /** The latest reading of the source with this id; undefined before the first. */
  latest(id: string): SourceReading | undefined;
  /** Called when what a source gives has changed; the handler only notes it. */
  onChange(handler: (id: string) => void): void;
};

const firstRetryMs = 5_000;
const longestRetryMs = 300_000;
const readTimeoutMs = 30_000;
/** A login that ends is fetched anew when this part of its life is over. */
const refreshAhead = 0.75;

type Followed = {
  readonly source: CredentialSource;
  readonly stop: AbortController;
  reading: SourceReading | undefined;
  digest: string;
  failures: number;
};

export function createSourceFollower(needs: {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}): SourceFollower {
  const { clock, random, log } = needs;
  const followed = new Map<string, Followed>();
  const handlers: ((id: string) => void)[] = [];
  const loops = new Set<Promise<void>>();
  let running: AbortSignal | undefined;

  function start(entry: Followed, stop: AbortSignal): void {
    const loop = readRepeatedly(entry, AbortSignal.any([stop, entry.stop.signal])).finally(() => loops.delete(loop));
    loops.add(loop);
  }

  async function readRepeatedly(entry: Followed, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const reading = await readOnce(entry.source, signal);
      if (signal.aborted || reading === undefined) return;
      entry.failures = reading.kind === "failed" ? entry.failures + 1 : 0;
      keep(entry, reading);
      try {
        await clock.sleep(delayAfter(entry, reading), signal);
      } catch {
        return; // told to stop
      }
    }
  }

  /** @returns undefined when told to stop */
  async function readOnce(source: CredentialSource, stop: AbortSignal): Promise<SourceReading | undefined> {
    const attempt = new AbortController();
    const signal = AbortSignal.any([stop, attempt.signal]);
    const timeout = clock.sleep(readTimeoutMs, signal).then((): SourceReading => {
      attempt.abort();
      return { kind: "failed", reason: "SourceUnreachable", message: `${source.id}: no answer in ${readTimeoutMs} ms` };
    });
    timeout.catch(() => undefined); // ends with an AbortError as soon as the source has answered
    try {
      return await Promise.race([source.read(signal), timeout]);
    } catch (error) {
      if (stop.aborted) return undefined;
      log.error({ err: error, source: source.id }, "a credential source failed unexpectedly");
      return { kind: "failed", reason: "SourceUnreachable", message: `${source.id}: failed unexpectedly, see the log` };
    } finally {
      attempt.abort();
    }
  }

  function keep(entry: Followed, reading: SourceReading): void {
    const digest = canonicalJson(reading.kind === "entries" ? { ...reading, expiresAtMs: null } : reading);
    const changed = digest !== entry.digest;
    entry.reading = reading;
    entry.digest = digest;
    if (!changed) return;
    const { id } = entry.source;
    if (reading.kind === "failed") log.warn({ source: id, reason: reading.reason }, "credential source failed");
    else log.info({ source: id, registries: Object.keys(reading.entries).length }, "credential source read");
    for (const handler of handlers) handler(id);
  }

  function delayAfter(entry: Followed, reading: SourceReading): number {
    const { refreshMs } = entry.source;
    if (reading.kind === "failed") {
      const backOff = Math.min(longestRetryMs, firstRetryMs * 2 ** (entry.failures - 1));
      return Math.min(refreshMs, backOff * (0.5 + random() / 2));
    }
    if (reading.expiresAtMs === undefined) return refreshMs;
    return Math.min(refreshMs, Math.max(1_000, (reading.expiresAtMs - clock.nowMs()) * refreshAhead));
  }

  return {
    name: "credential sources",
    follow(sources) {
      const wanted = new Map(sources.map((source) => [source.id, source]));
      for (const [id, entry] of followed) {
        if (wanted.has(id)) continue;
        entry.stop.abort();
        followed.delete(id);
      }
      for (const [id, source] of wanted) {
        if (followed.has(id)) continue;
        const entry = { source, stop: new AbortController(), reading: undefined, digest: "", failures: 0 };
        followed.set(id, entry);
        if (running !== undefined) start(entry, running);
      }
    },
    latest: (id) => followed.get(id)?.reading,
    onChange: (handler) => {
      handlers.push(handler);
    },
    async run(stop) {
      running = stop;
      for (const entry of followed.values()) start(entry, stop);
      await new Promise<void>((resolve) => {
        if (stop.aborted) resolve();
        else stop.addEventListener("abort", () => resolve(), { once: true });
      });
      running = undefined;
      await Promise.all(loops);
    },
  };
}
