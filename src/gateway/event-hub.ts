import type { StreamEvent } from "../registry/stream-protocol.ts";

export type CatalogueEvent = Extract<StreamEvent, { type: "pushed" | "deleted" }>;

/** Passes each accepted or deleted manifest on to every open stream. */
export type EventHub = {
  publish(event: CatalogueEvent): void;
  /** @returns a function that ends the subscription */
  subscribe(handler: (event: CatalogueEvent) => void): () => void;
};

export function createEventHub(): EventHub {
  const handlers = new Set<(event: CatalogueEvent) => void>();
  return {
    publish(event) {
      for (const handler of handlers) handler(event);
    },
    subscribe(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
  };
}
