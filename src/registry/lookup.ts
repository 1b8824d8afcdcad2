import type { Clock } from "../clock.ts";
import type { Component } from "../cluster/component.ts";
import type { Log } from "../log.ts";
import type { Catalogue, MissingManifest } from "./catalogue.ts";
import type { RegistryClient } from "./client.ts";

export type LookupNeeds = {
  readonly catalogue: Catalogue;
  /** undefined while no registry can be asked. */
  readonly client: () => Pick<RegistryClient, "headManifest"> | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly concurrency?: number;
};

/** How long a 404 is remembered, so that a pod in a loop does not ask the registry each time. */
export const absentForMs = 60_000;
const absentLimit = 10_000;

/**
 * Looks up once, in the background, what admission missed: a listing may leave out what the registry holds (S3 on
 * Distribution 3.1.1), and the second pod then finds it. One request for one reference at a time; a 404 holds for
 * `absentForMs`; a fault is forgotten, so the next miss asks again.
 */
export function createLookup(needs: LookupNeeds): Component {
  const { catalogue, clock, log } = needs;
  const running = new Map<string, Promise<void>>();
  const absentUntilMs = new Map<string, number>();

  const isAbsent = (key: string): boolean => {
    const untilMs = absentUntilMs.get(key);
    if (untilMs === undefined) return false;
    if (clock.monotonicMs() < untilMs) return true;
    absentUntilMs.delete(key);
    return false;
  };

  const rememberAbsence = (key: string): void => {
    const oldest = absentUntilMs.keys().next().value;
    if (absentUntilMs.size >= absentLimit && oldest !== undefined) absentUntilMs.delete(oldest);
    absentUntilMs.set(key, clock.monotonicMs() + absentForMs);
  };

  async function lookUp(missing: MissingManifest, signal: AbortSignal): Promise<void> {
    const client = needs.client();
    if (client === undefined) return;
    const { repository, reference } = missing;
    const mark = catalogue.openListing();
    try {
      const manifest = await client.headManifest(repository, reference, signal);
      if (manifest === undefined) return rememberAbsence(keyOf(missing));
      const tag = reference.includes(":") ? null : reference;
      catalogue.addListing([{ repository, tag, digest: manifest.digest }], mark);
    } catch (error) {
      if (!signal.aborted) log.debug({ err: error, repository, reference }, "look-up failed");
    } finally {
      catalogue.closeListing(mark);
    }
  }

  async function takeUp(signal: AbortSignal): Promise<void> {
    for (const missing of catalogue.takeMissed()) {
      const key = keyOf(missing);
      if (running.has(key) || isAbsent(key)) continue;
      if (running.size >= (needs.concurrency ?? 4)) await Promise.race(running.values());
      running.set(
        key,
        lookUp(missing, signal).finally(() => running.delete(key)),
      );
    }
  }

  return {
    name: "catalogue look-up",
    async run(stop) {
      let wake = Promise.withResolvers<void>();
      catalogue.onMissed(() => wake.resolve());
      stop.addEventListener("abort", () => wake.resolve(), { once: true });
      if (stop.aborted) return;
      for (;;) {
        await wake.promise;
        if (stop.aborted) break;
        wake = Promise.withResolvers<void>();
        await takeUp(stop);
      }
      await Promise.all(running.values());
    },
  };
}

function keyOf(missing: MissingManifest): string {
  return `${missing.repository}\n${missing.reference}`;
}
