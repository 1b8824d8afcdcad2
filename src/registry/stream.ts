import type { IncomingMessage } from "node:http";
import type { Clock, Random } from "../clock.ts";
import type { Component } from "../cluster/component.ts";
import { registryHost } from "../config/names.ts";
import type { Log } from "../log.ts";
import { expectStatus } from "./answer.ts";
import { createTcpConnect } from "./connection.ts";
import { createExchange } from "./exchange.ts";
import { readLines } from "./lines.ts";
import { RegistryError } from "./registry-error.ts";
import { catalogueStreamPath, type StreamEvent, streamHeartbeatMs } from "./stream-protocol.ts";

/** What one gateway's stream tells; `open` comes with each `hello`, `closed` only after an `open`. */
export type StreamListener = {
  opened(hello: Extract<StreamEvent, { type: "hello" }>): void;
  event(event: StreamEvent): void;
  closed(): void;
};

export type CatalogueStreamNeeds = {
  /** `host:port` of one gateway pod, or of the external URL. */
  readonly endpoint: string;
  /** The name that the gateway's certificate must carry. */
  readonly serverName?: string;
  /** PEM; read at each connection. */
  readonly ca: () => string | undefined;
  /** serve's own projected token (audience `slipway-gateway`); read anew each time, since it rotates on disk. */
  readonly token: () => Promise<string>;
  readonly listener: StreamListener;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
};

const firstDelayMs = 200;
const longestDelayMs = 5_000;
/** About eight seconds: a gateway that begins is not there at once, which is worth no warning. */
const failuresToWarn = 6;
/** Silence after which the connection counts as dead. */
const silenceMs = 3 * streamHeartbeatMs;

/**
 * Reads the catalogue stream of one gateway for as long as it runs: reconnects after every end with jitter, at once
 * after a stream that had been open, more slowly after each failure; heartbeats that stay away end a connection.
 */
export function createCatalogueStream(needs: CatalogueStreamNeeds): Component {
  const { endpoint, clock, random, log } = needs;
  return {
    name: `catalogue stream of ${endpoint}`,
    async run(stop) {
      for (let failures = 0; !stop.aborted; ) {
        const outcome = await readOnce(needs, stop);
        if (stop.aborted) return;
        failures = outcome.opened ? 0 : failures + 1;
        const ceilingMs = Math.min(longestDelayMs, firstDelayMs * 2 ** failures);
        if (outcome.opened) log.info({ endpoint, err: outcome.fault }, "catalogue stream ended");
        else if (failures === failuresToWarn)
          log.warn({ endpoint, err: outcome.fault }, "catalogue stream was not opened");
        await clock.sleep(ceilingMs * (0.5 + random() / 2), stop).catch(() => undefined);
      }
    },
  };
}

async function readOnce(
  needs: CatalogueStreamNeeds,
  stop: AbortSignal,
): Promise<{ readonly opened: boolean; readonly fault: unknown }> {
  const ended = new AbortController();
  const signal = AbortSignal.any([stop, ended.signal]);
  const exchange = createExchange({
    origin: new URL(`https://${needs.serverName ?? registryHost}`),
    connect: createTcpConnect(needs.endpoint),
    ca: needs.ca,
    maxSockets: 1,
  });
  const watchdog = createWatchdog(needs.clock, ended);
  let opened = false;
  try {
    const asked = { origin: exchange.origin, method: "GET", path: catalogueStreamPath } as const;
    const response = await exchange.send({
      ...asked,
      headers: { authorization: `Bearer ${await needs.token()}`, accept: "application/x-ndjson" },
      idleMs: silenceMs,
      signal,
    });
    await expectStatus(response, asked, [200]);
    for await (const event of readEvents(response, watchdog)) {
      if (event.type === "hello") {
        opened = true;
        needs.listener.opened(event);
      } else if (opened) needs.listener.event(event);
    }
    return { opened, fault: undefined };
  } catch (error) {
    return { opened, fault: error };
  } finally {
    if (opened) needs.listener.closed();
    ended.abort();
    exchange.close();
  }
}

/** Ends the connection when nothing is heard for `silenceMs` by the clock. */
function createWatchdog(clock: Clock, ended: AbortController): { heard(): void } {
  let heardAtMs = clock.monotonicMs();
  const watch = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      const leftMs = heardAtMs + silenceMs - clock.monotonicMs();
      if (leftMs <= 0) {
        const message = `no heartbeat for ${silenceMs} ms`;
        ended.abort(new RegistryError({ status: 0, code: "SILENCE", message }));
      } else await clock.sleep(leftMs, ended.signal).catch(() => undefined);
    }
  };
  void watch();
  return {
    heard() {
      heardAtMs = clock.monotonicMs();
    },
  };
}

async function* readEvents(response: IncomingMessage, watchdog: { heard(): void }): AsyncGenerator<StreamEvent> {
  for await (const line of readLines(response)) {
    watchdog.heard();
    const event = parseStreamEvent(line);
    if (event !== undefined) yield event;
  }
}

/**
 * One line of the stream.
 *
 * @returns undefined for a type that this version does not know, as the protocol asks
 * @throws RegistryError STREAM_INVALID for what is no event at all: the connection is then begun anew
 */
export function parseStreamEvent(line: string): StreamEvent | undefined {
  const value = parseJson(line);
  switch (value.type) {
    case "hello":
      return {
        type: "hello",
        protocol: typeof value.protocol === "number" ? value.protocol : 0,
        generations: numbersOf(value.generations),
        readOnly: value.readOnly === true,
        ...bytesUsedOf(value),
      };
    case "heartbeat":
      return { type: "heartbeat", generations: numbersOf(value.generations), ...bytesUsedOf(value) };
    case "pushed":
      return {
        type: "pushed",
        repository: text(value, "repository"),
        tag: textOrNull(value, "tag"),
        digest: text(value, "digest"),
      };
    case "deleted":
      return {
        type: "deleted",
        repository: text(value, "repository"),
        tag: textOrNull(value, "tag"),
        digest: textOrNull(value, "digest"),
      };
    default:
      return undefined;
  }
}

function parseJson(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // reported below, without the line: it may be anything
  }
  throw invalid("a line is no JSON object");
}

function text(value: Readonly<Record<string, unknown>>, field: string): string {
  const found = value[field];
  if (typeof found === "string" && found !== "") return found;
  throw invalid(`${String(value.type)}.${field} is no text`);
}

function textOrNull(value: Readonly<Record<string, unknown>>, field: string): string | null {
  return value[field] === null || value[field] === undefined ? null : text(value, field);
}

function bytesUsedOf({ bytesUsed }: Readonly<Record<string, unknown>>): { readonly bytesUsed?: number } {
  return typeof bytesUsed === "number" && Number.isSafeInteger(bytesUsed) && bytesUsed >= 0 ? { bytesUsed } : {};
}

function numbersOf(value: unknown): readonly number[] {
  return Array.isArray(value) ? value.filter((item): item is number => typeof item === "number") : [];
}

function invalid(what: string): RegistryError {
  return new RegistryError({
    status: 200,
    code: "STREAM_INVALID",
    message: `the catalogue stream is unreadable: ${what}`,
  });
}
