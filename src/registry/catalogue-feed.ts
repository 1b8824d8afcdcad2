import type { Registry } from "prom-client";
import { Gauge } from "prom-client";
import type { Clock, Random } from "../clock.ts";
import type { Component } from "../cluster/component.ts";
import type { Log } from "../log.ts";
import type { Catalogue } from "./catalogue.ts";
import type { RegistryClient } from "./client.ts";
import { readListing } from "./listing.ts";
import { createLookup } from "./lookup.ts";
import { createCatalogueStream, type StreamListener } from "./stream.ts";

export type CatalogueFeed = Component & {
  /** Key generations that every running gateway accepts; undefined while one of them has not told, or none runs. */
  generations(): ReadonlySet<number> | undefined;
  /** What the registry's volume holds, as a gateway last told; undefined while none does. */
  bytesUsed(): number | undefined;
  /** Whether the catalogue has been read once since this process started. */
  hasReadOnce(): boolean;
  /** Whether there is anything to read: a registry, and a gateway or an address for it. */
  hasSource(): boolean;
  /** What keeps the last listing from success, for conditions; undefined after a good one. */
  lastFault(): unknown;
  /** Looks at the endpoints at once, e.g. after an EndpointSlice changed. */
  wake(): void;
};

export type CatalogueFeedNeeds = {
  readonly catalogue: Catalogue;
  /** `host:port` of each gateway pod, or of the external URL; empty while there is none. */
  readonly endpoints: () => readonly string[];
  /** False for an external registry without our gateway: then "present" comes from listing alone. */
  readonly hasStream: () => boolean;
  /** A client with the admin's (or the external) login; undefined while there is no registry or no login. */
  readonly client: () => RegistryClient | undefined;
  readonly stream: {
    readonly serverName: () => string;
    readonly ca: () => string | undefined;
    readonly token: () => Promise<string>;
  };
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics?: Registry;
};

type Gateway = {
  readonly stop: AbortController;
  /** undefined while its stream is closed. */
  generations: readonly number[] | undefined;
  bytesUsed: number | undefined;
  ended: Promise<void>;
};

const endpointPollMs = 1_000;
const repairMs = 600_000;
/** Without a stream only listing tells what was pushed. */
const listOnlyMs = 30_000;
const failedDelayMs = 1_000;
const longestFailedDelayMs = 30_000;

/**
 * Keeps the catalogue of this replica true: a stream to every gateway, a listing at the start, after each gap and
 * every ten minutes (less often when one takes long), and look-ups of what admission missed.
 */
export function createCatalogueFeed(needs: CatalogueFeedNeeds): CatalogueFeed {
  const { catalogue, clock, random, log } = needs;
  const gateways = new Map<string, Gateway>();
  let readOnce = false;
  let fault: unknown;
  let listingIsDue = true;
  let sawGap = false;
  let wake = Promise.withResolvers<void>();
  if (needs.metrics !== undefined) registerGauges(needs.metrics, catalogue, gateways);

  const isStreaming = (): boolean => [...gateways.values()].some((gateway) => gateway.generations !== undefined);

  const settleState = (): void => {
    if (!readOnce) return;
    const live = needs.hasStream() ? isStreaming() : fault === undefined && needs.client() !== undefined;
    if (live) catalogue.markLive();
    else catalogue.markLost();
  };

  const askListing = (): void => {
    listingIsDue = true;
    wake.resolve();
  };

  const listenerOf = (gateway: Gateway): StreamListener => ({
    opened(hello) {
      note(gateway, hello);
      settleState();
      askListing();
    },
    event(event) {
      if (event.type === "heartbeat") note(gateway, event);
      catalogue.apply(event);
    },
    closed() {
      note(gateway, {});
      sawGap = true;
      settleState();
    },
  });

  const openGateway = (endpoint: string, stop: AbortSignal): void => {
    const ending = new AbortController();
    const gateway: Gateway = {
      stop: ending,
      generations: undefined,
      bytesUsed: undefined,
      ended: Promise.resolve(),
    };
    gateways.set(endpoint, gateway);
    const stream = createCatalogueStream({
      endpoint,
      serverName: needs.stream.serverName(),
      ca: needs.stream.ca,
      token: needs.stream.token,
      listener: listenerOf(gateway),
      clock,
      random,
      log,
    });
    gateway.ended = stream.run(AbortSignal.any([stop, ending.signal]));
  };

  const matchEndpoints = (stop: AbortSignal): void => {
    const wanted = new Set(needs.hasStream() ? needs.endpoints() : []);
    for (const [endpoint, gateway] of gateways) {
      if (wanted.has(endpoint)) continue;
      gateways.delete(endpoint);
      gateway.stop.abort();
    }
    for (const endpoint of wanted) if (!gateways.has(endpoint)) openGateway(endpoint, stop);
    settleState();
  };

  /** @returns after how many milliseconds the next listing is due */
  async function list(client: RegistryClient, stop: AbortSignal): Promise<number> {
    const startedAtMs = clock.monotonicMs();
    const afterGap = sawGap;
    sawGap = false;
    try {
      const outcome = await readListing({ client, catalogue, afterGap }, stop);
      const tookMs = clock.monotonicMs() - startedAtMs;
      fault = undefined;
      readOnce = true;
      settleState();
      const { failed, ...counts } = outcome;
      log.debug({ ...counts, failed: failed.slice(0, 20), tookMs }, "catalogue read");
      return Math.max(needs.hasStream() ? repairMs : listOnlyMs, tookMs * 20) * (0.9 + random() * 0.2);
    } catch (error) {
      if (fault === undefined && !stop.aborted) log.warn({ err: error }, "the registry could not be listed");
      fault = error;
      sawGap ||= afterGap;
      settleState();
      throw error;
    }
  }

  async function listForEver(stop: AbortSignal): Promise<void> {
    let dueAtMs = clock.monotonicMs();
    for (let failures = 0; !stop.aborted; ) {
      const client = needs.client();
      const canList = client !== undefined && (!needs.hasStream() || isStreaming());
      if (canList && (listingIsDue || clock.monotonicMs() >= dueAtMs)) {
        listingIsDue = false;
        try {
          dueAtMs = clock.monotonicMs() + (await list(client, stop));
          failures = 0;
        } catch {
          // noted by list(); only the time of the next attempt is decided here
          const delayMs = Math.min(longestFailedDelayMs, failedDelayMs * 2 ** failures++);
          dueAtMs = clock.monotonicMs() + delayMs * (0.5 + random() / 2);
        }
      }
      await pause(stop);
    }
  }

  async function pause(stop: AbortSignal): Promise<void> {
    const woken = new AbortController();
    const signal = AbortSignal.any([stop, woken.signal]);
    void wake.promise.then(() => woken.abort());
    await clock.sleep(endpointPollMs, signal).catch(() => undefined);
    wake = Promise.withResolvers<void>();
    if (!stop.aborted) matchEndpoints(stop);
  }

  return {
    name: "catalogue feed",
    async run(stop) {
      const lookup = createLookup({ catalogue, client: needs.client, clock, log });
      const lookups = lookup.run(stop);
      matchEndpoints(stop);
      await listForEver(stop);
      await Promise.all([lookups, ...[...gateways.values()].map((gateway) => gateway.ended)]);
    },
    generations() {
      const told = needs.endpoints().map((endpoint) => gateways.get(endpoint)?.generations);
      const [first] = told;
      if (first === undefined || told.includes(undefined)) return undefined;
      return new Set(first.filter((generation) => told.every((others) => others?.includes(generation) === true)));
    },
    // One volume has one gateway; during a change of pods the one that goes has closed its stream.
    bytesUsed: () => [...gateways.values()].find((gateway) => gateway.bytesUsed !== undefined)?.bytesUsed,
    hasReadOnce: () => readOnce,
    hasSource: () => needs.client() !== undefined && (!needs.hasStream() || needs.endpoints().length > 0),
    lastFault: () => fault,
    wake: () => wake.resolve(),
  };
}

function note(
  gateway: Gateway,
  told: { readonly generations?: readonly number[]; readonly bytesUsed?: number | undefined },
): void {
  gateway.generations = told.generations;
  gateway.bytesUsed = told.bytesUsed;
}

function registerGauges(
  metrics: Registry,
  catalogue: Catalogue,
  gateways: ReadonlyMap<string, { readonly generations: unknown }>,
): void {
  const registers = [metrics];
  new Gauge({
    name: "slipway_catalogue_tags",
    help: "Tags of the local registry that this replica knows",
    registers,
    collect() {
      this.set(catalogue.size().tags);
    },
  });
  new Gauge({
    name: "slipway_catalogue_streams",
    help: "Gateways whose catalogue stream is open",
    registers,
    collect() {
      this.set([...gateways.values()].filter((gateway) => gateway.generations !== undefined).length);
    },
  });
}
