import { untilAborted } from "./until-aborted.ts";

/**
 * One read for all who ask at the same time. A caller never gets an answer to a question that was put before his own:
 * who comes while a read is under way waits for the next one, together with all others that came meanwhile. So a burst
 * costs two reads, and nobody is told what was true before he asked.
 *
 * @param read is not tied to a caller: it has to end by itself
 * @returns rejects with what the read rejects with, or, for this caller alone, with the reason of his signal
 */
export function createSharedRead<T>(read: () => Promise<T>): (signal: AbortSignal) => Promise<T> {
  let running: Promise<T> | undefined;
  let next: Promise<T> | undefined;

  function begin(): Promise<T> {
    const begun = Promise.resolve()
      .then(read)
      .finally(() => {
        if (running === begun) running = undefined;
      });
    running = begun;
    return begun;
  }

  function join(): Promise<T> {
    if (running === undefined) return begin();
    next ??= running
      .catch(() => undefined) // its own callers hear of it
      .then(() => {
        next = undefined;
        return begin();
      });
    return next;
  }

  return (signal) => (signal.aborted ? Promise.reject(signal.reason) : untilAborted(join(), signal));
}
