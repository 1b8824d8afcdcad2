import { setTimeout as pause } from "node:timers/promises";

/**
 * Looks again and again until `look` gives something back; for what no `kubectl wait` can watch.
 *
 * @throws Error that names `what`, with the last fault, when it has not come true in time
 */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined>,
  { withinMs = 300_000, everyMs = 300 } = {},
): Promise<T> {
  const deadlineMs = performance.now() + withinMs;
  for (;;) {
    let fault: unknown;
    const found = await look().catch((error: unknown) => {
      fault = error;
      return undefined;
    });
    if (found !== undefined) return found;
    if (performance.now() > deadlineMs) throw new Error(`${what}: not within ${withinMs} ms`, { cause: fault });
    await pause(everyMs);
  }
}
