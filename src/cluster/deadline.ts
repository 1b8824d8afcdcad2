import type { Clock } from "../clock.ts";

/** The reason with which the signal of withDeadline aborts when the time is over. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError";

  constructor(durationMs: number) {
    super(`not done within ${Math.round(durationMs)} ms`);
  }
}

/**
 * Runs `work` with a signal that aborts with `parent`, or with a DeadlineError after `durationMs`.
 *
 * @returns what `work` returns; its own error when it fails. Whether it obeys the signal is up to `work`.
 */
export async function withDeadline<T>(
  clock: Clock,
  durationMs: number,
  parent: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  const timer = new AbortController();
  const onParent = () => deadline.abort(parent.reason);
  if (parent.aborted) onParent();
  else parent.addEventListener("abort", onParent, { once: true });
  const expire = () => deadline.abort(new DeadlineError(durationMs));
  clock.sleep(durationMs, timer.signal).then(expire, () => undefined);
  try {
    return await work(deadline.signal);
  } finally {
    timer.abort();
    parent.removeEventListener("abort", onParent);
  }
}
