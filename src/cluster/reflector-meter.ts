import type { Registry } from "prom-client";
import { counterAt, gaugeAt } from "./metric.ts";

/** The metrics of one reflector, told apart by the label `reflector`. */
export type ReflectorMeter = {
  /** @param nowMs wall clock */
  active(nowMs: number): void;
  listed(objects: number): void;
  event(type: string): void;
  failed(kind: string): void;
  handlerFailed(): void;
};

export function createReflectorMeter(registry: Registry, reflector: string): ReflectorMeter {
  const lists = counterAt(registry, {
    name: "slipway_reflector_lists_total",
    help: "Complete lists of a collection",
    labelNames: ["reflector"],
  });
  const objects = gaugeAt(registry, {
    name: "slipway_reflector_objects",
    help: "Objects in the last complete list",
    labelNames: ["reflector"],
  });
  const events = counterAt(registry, {
    name: "slipway_reflector_events_total",
    help: "Events of watches, bookmarks included",
    labelNames: ["reflector", "type"],
  });
  const failures = counterAt(registry, {
    name: "slipway_reflector_failures_total",
    help: "Lists and watches that ended otherwise than they should",
    labelNames: ["reflector", "kind"],
  });
  const handlerFailures = counterAt(registry, {
    name: "slipway_reflector_handler_failures_total",
    help: "Exceptions of handlers and projections",
    labelNames: ["reflector"],
  });
  const activity = gaugeAt(registry, {
    name: "slipway_reflector_last_activity_timestamp_seconds",
    help: "Time of the last complete list or the last bytes of the watch",
    labelNames: ["reflector"],
  });
  return {
    active: (nowMs) => activity.set({ reflector }, nowMs / 1000),
    listed(count) {
      lists.inc({ reflector });
      objects.set({ reflector }, count);
    },
    event: (type) => events.inc({ reflector, type }),
    failed: (kind) => failures.inc({ reflector, kind }),
    handlerFailed: () => handlerFailures.inc({ reflector }),
  };
}
