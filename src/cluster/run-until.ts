import { SlipwayError } from "../errors.ts";
import type { Component } from "./component.ts";

/**
 * Runs components together until `stop` aborts. The first that fails, or ends without being told to, stops all
 * others; when every one has ended, its error is thrown. An AbortError after the stop is no fault. The order of a stop
 * is the caller's business: nest calls.
 *
 * @throws the first fault; SlipwayError COMPONENT_ENDED for a component that just ended
 */
export async function runUntil(stop: AbortSignal, components: readonly Component[]): Promise<void> {
  const own = new AbortController();
  const signal = AbortSignal.any([stop, own.signal]);
  const faults: unknown[] = [];
  const runOne = async (component: Component): Promise<void> => {
    try {
      await component.run(signal);
      if (!signal.aborted) throw new SlipwayError("COMPONENT_ENDED", component.name);
    } catch (error) {
      if (signal.aborted && error instanceof Error && error.name === "AbortError") return;
      faults.push(error);
      own.abort(error);
    }
  };
  await Promise.all(components.map(runOne));
  if (faults.length > 0) throw faults[0];
}
