import type { Clock } from "../clock.ts";
import { untilAborted } from "./until-aborted.ts";

/**
 * One read for all who ask at the same time. A caller never gets an answer to a question that was put before his own:
 * who comes while a read is under way waits for the next one, together with all others that came meanwhile. So a burst
 * costs two reads, and nobody is told what was true before he asked.
 *
 * @param needs.read is not tied to a caller: it has to end by itself
 * @param needs.patienceMs the next read begins then at the latest, so that one that hangs is waited for by nobody else
 * @returns rejects with what the read rejects with, or, for this caller alone, with the reason of his signal
 */
export function createSharedRead<T>(needs: {
  readonly read: () => Promise<T>;
  readonly patienceMs: number;
  readonly clock: Clock;
}): (signal: AbortSignal) => Promise<T> {
  let running: Promise<T> | undefined;
  let next: Promise<T> | undefined;

  function begin(): Promise<T> {
    const begun = Promise.resolve()
      .then(needs.read)
      .finally(() => {
        if (running === begun) running = undefined;
      });
    running = begun;
    return begun;
  }

  /** Resolves when `read` has ended, well or not, or has taken too long. */
  async function ended(read: Promise<T>): Promise<void> {
    const stop = new AbortController();
    const tooLong = needs.clock.sleep(needs.patienceMs, stop.signal).catch(() => undefined); // it ended before
    await Promise.race([read.catch(() => undefined), tooLong]); // its own callers hear of a failure
    stop.abort();
  }

  function join(): Promise<T> {
    if (running === undefined) return begin();
    next ??= ended(running).then(() => {
      next = undefined;
      return begin();
    });
    return next;
  }

  return (signal) => (signal.aborted ? Promise.reject(signal.reason) : untilAborted(join(), signal));
}
