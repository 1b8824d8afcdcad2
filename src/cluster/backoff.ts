import type { Random } from "../clock.ts";

/**
 * The pause before attempt `failures` + 1: exponential between `minimumMs` and `maximumMs`, drawn from the upper half
 * of the step, so that many clients that failed together come back apart.
 *
 * @param failures consecutive ones, from 1
 */
export function backoffMs(
  failures: number,
  range: { readonly minimumMs: number; readonly maximumMs: number },
  random: Random,
): number {
  const step = Math.min(range.maximumMs, 2 * range.minimumMs * 2 ** Math.min(failures - 1, 40));
  return step / 2 + (random() * step) / 2;
}

/**
 * "Full jitter": anything between nothing and the step, for requests that are answered "later".
 *
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function fullJitterMs(
  failures: number,
  range: { readonly minimumMs: number; readonly maximumMs: number },
  random: Random,
): number {
  return random() * Math.min(range.maximumMs, range.minimumMs * 2 ** Math.min(failures - 1, 40));
}
