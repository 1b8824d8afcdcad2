import type { Clock, Random } from "../clock.ts";
import { isPassing, RegistryError } from "./registry-error.ts";

/** How failures in a row are borne, until one succeeds. */
export type Patience = {
  /** @returns the pause before another attempt, milliseconds; undefined when this failure was the last */
  afterFailure(error: unknown): number | undefined;
  /** Something went through: the next failure is a first one. */
  progressed(): void;
};

export type PatienceRules = {
  /** Attempts in all. */
  readonly attempts: number;
  /** Beyond them, for so long from the first failure on, while the registry looks like one that is coming back. */
  readonly patienceMs: number;
};

const firstDelayMs = 100;
const longestDelayMs = 5_000;
const longestAskedMs = 30_000;

export function createPatience(
  needs: { readonly clock: Clock; readonly random: Random },
  rules: PatienceRules,
): Patience {
  let failures = 0;
  let sinceMs = 0;
  return {
    afterFailure(error) {
      const nowMs = needs.clock.monotonicMs();
      if (failures === 0) sinceMs = nowMs;
      failures++;
      const mayStillCome = isPassing(error) && nowMs - sinceMs < rules.patienceMs;
      return failures < rules.attempts || mayStillCome ? delayMs(error, failures, needs.random) : undefined;
    },
    progressed() {
      failures = 0;
    },
  };
}

/** Full jitter below a doubling ceiling, or what the registry asks for. */
function delayMs(error: unknown, failures: number, random: Random): number {
  const asked = error instanceof RegistryError ? error.retryAfterMs : undefined;
  if (asked !== undefined) return Math.min(asked, longestAskedMs);
  return random() * Math.min(longestDelayMs, firstDelayMs * 2 ** failures);
}
