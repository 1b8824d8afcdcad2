import type { Clock } from "../clock.ts";

/** A rate limit with a burst. */
export type TokenBucket = {
  /** Takes a token when there is one. */
  tryTake(): boolean;
  /** Takes a token in advance. @returns the milliseconds to wait before acting on it */
  reserve(): number;
};

/** @param limits `burst` tokens at first, `perSecond` added up to that number */
export function createTokenBucket(
  limits: { readonly burst: number; readonly perSecond: number },
  clock: Clock,
): TokenBucket {
  let tokens = limits.burst;
  let countedAtMs = clock.monotonicMs();
  const refill = () => {
    const nowMs = clock.monotonicMs();
    tokens = Math.min(limits.burst, tokens + ((nowMs - countedAtMs) / 1000) * limits.perSecond);
    countedAtMs = nowMs;
  };
  return {
    tryTake() {
      refill();
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
    reserve() {
      refill();
      tokens -= 1;
      return tokens >= 0 ? 0 : (-tokens / limits.perSecond) * 1000;
    },
  };
}
