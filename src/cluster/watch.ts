import type { IncomingMessage } from "node:http";
import type { Clock, Random } from "../clock.ts";
import { ApiError, type ApiTransport, type ListOptions } from "./api.ts";
import { errorOfSilence } from "./failure.ts";
import { type Resource, resourcePath } from "./resource.ts";
import { parseWatchEvent, type WatchEvent } from "./watch-event.ts";
import { createLineCutter } from "./watch-line.ts";

export type WatchRequest = {
  readonly resource: Resource;
  readonly selection: ListOptions;
  readonly resourceVersion: string;
  /** Clock.monotonicMs at which the caller wants to list again. */
  readonly untilMs: number;
  readonly signal: AbortSignal;
};

export type WatchEnd =
  /** Ended by the server, as it should from time to time, after a whole line. */
  | { readonly kind: "closed" }
  /** Ended by us: `untilMs`, or the server overran the time that it was asked for. */
  | { readonly kind: "due" }
  /** No byte for two and a half to three minutes: the connection is taken for dead. */
  | { readonly kind: "silent" }
  /** Reset, or half a line. */
  | { readonly kind: "broken"; readonly cause: unknown };

export type WatchSink = {
  /** At the headers and at every chunk. */
  onActivity(): void;
  /** @throws ApiError to end the watch with it */
  onEvent(event: WatchEvent): void;
};

type WatchNeeds = { readonly transport: ApiTransport; readonly clock: Clock; readonly random: Random };

/** Above the API server's bookmark period: one a minute, the first after up to two (measured on 1.36.3). */
const silenceMs = { minimum: 150_000, spread: 30_000 };
/** What the server is asked for; spread, so that the watches of all clients do not end together. */
const watchSeconds = { minimum: 300, spread: 300 };
const overrunMs = 30_000;

/**
 * One watch from a version on, with bookmarks and an end that the server is asked for.
 *
 * @throws ApiError when it cannot be opened (410 included), when the signal aborts, or the one that the sink throws
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#watch-bookmarks
 */
export async function watchCollection(needs: WatchNeeds, request: WatchRequest, sink: WatchSink): Promise<WatchEnd> {
  const { clock, random } = needs;
  const timeoutSeconds = watchSeconds.minimum + Math.floor(random() * (watchSeconds.spread + 1));
  const cut = new AbortController();
  const signal = AbortSignal.any([request.signal, cut.signal]);
  const answer = await openWatch(needs.transport, request, { timeoutSeconds, signal });

  let heardAtMs = clock.monotonicMs();
  const hear = () => {
    heardAtMs = clock.monotonicMs();
    sink.onActivity();
  };
  const endAtMs = Math.min(request.untilMs, heardAtMs + timeoutSeconds * 1000 + overrunMs);
  const quietMs = silenceMs.minimum + random() * silenceMs.spread;
  const over = new AbortController();
  const guard = keepGuard(clock, over.signal, () => {
    const nowMs = clock.monotonicMs();
    if (nowMs >= endAtMs) cut.abort("due");
    else if (nowMs - heardAtMs >= quietMs) cut.abort("silent");
    return Math.min(endAtMs, heardAtMs + quietMs) - nowMs;
  });

  try {
    hear();
    return await readEvents(answer, hear, sink);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    if (request.signal.aborted) throw errorOfSilence(error, "watch", request.signal);
    if (cut.signal.aborted) return { kind: cut.signal.reason === "due" ? "due" : "silent" };
    return { kind: "broken", cause: error };
  } finally {
    over.abort();
    answer.destroy();
    await guard;
  }
}

function openWatch(
  transport: ApiTransport,
  { resource, selection, resourceVersion }: WatchRequest,
  options: { readonly timeoutSeconds: number; readonly signal: AbortSignal },
): Promise<IncomingMessage> {
  const { namespace, labelSelector, fieldSelector, metadataOnly } = selection;
  return transport.stream({
    method: "GET",
    path: resourcePath(resource, namespace === undefined ? {} : { namespace }),
    query: {
      watch: "1",
      allowWatchBookmarks: "true",
      timeoutSeconds: String(options.timeoutSeconds),
      resourceVersion,
      labelSelector,
      fieldSelector,
    },
    accept: metadataOnly === true ? "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1" : "application/json",
    retry: false,
    signal: options.signal,
  });
}

async function readEvents(answer: IncomingMessage, hear: () => void, sink: WatchSink): Promise<WatchEnd> {
  const cutter = createLineCutter();
  for await (const chunk of answer) {
    hear();
    for (const line of cutter.push(chunk as Buffer)) sink.onEvent(parseWatchEvent(line));
  }
  return cutter.hasRest() ? { kind: "broken", cause: new Error("it ended with half a line") } : { kind: "closed" };
}

/** Looks whenever the time that `look` returned is over, until it returns none. */
async function keepGuard(clock: Clock, over: AbortSignal, look: () => number): Promise<void> {
  for (let waitMs = look(); waitMs > 0; waitMs = look()) {
    try {
      await clock.sleep(waitMs, over);
    } catch {
      return; // The watch has ended: that is what `over` says.
    }
  }
}
