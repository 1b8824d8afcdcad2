import type { Clock } from "../clock.ts";
import type { NodeAccessMode } from "../config/local-registry.ts";
import type { Log } from "../log.ts";
import type { NodeOrders } from "./protocol.ts";
import type { LookOutcome } from "./registry-look.ts";
import { failedFinding, type StrategyCheck } from "./strategy.ts";

const lookEveryMs = 3_600_000;
/** While the image is not there yet. */
const absentMs = 60_000;

/** Adds a pull by the runtime's own path to a check that passed, once an hour and whenever serve counts `lookCount` up. */
export type HourlyLook = {
  /** @returns the check as it was, or the same as failed */
  extend(check: StrategyCheck, orders: NodeOrders, signal: AbortSignal): Promise<StrategyCheck>;
};

type Memory = { readonly lookCount: number; readonly nextMs: number };

/**
 * @param needs.look see lookAtProbe. The login of the orders stays in memory. A failed look is repeated with every
 *   round until one passes; the first is due a minute after the mode first passed.
 */
export function createHourlyLook(needs: {
  readonly look: (
    target: NonNullable<StrategyCheck["target"]>,
    login: { readonly username: string; readonly password: string },
    signal: AbortSignal,
  ) => Promise<LookOutcome>;
  readonly clock: Clock;
  readonly log: Log;
}): HourlyLook {
  const { clock, log } = needs;
  const memory = new Map<NodeAccessMode, Memory>();

  return {
    async extend(check, orders, signal) {
      const { finding, target } = check;
      const { lookCount, registry } = orders;
      const login = registry?.checkLogin ?? null;
      if (!finding.passed || target === undefined || login === null) return check;
      const nowMs = clock.monotonicMs();
      const known = memory.get(finding.mode) ?? { lookCount, nextMs: nowMs + absentMs };
      memory.set(finding.mode, known);
      if (known.lookCount === lookCount && nowMs < known.nextMs) return check;
      const outcome = await needs.look(target, login, signal);
      const pauseMs = { pulled: lookEveryMs, absent: absentMs, failed: 0 }[outcome.kind];
      memory.set(finding.mode, { lookCount, nextMs: clock.monotonicMs() + pauseMs });
      if (outcome.kind !== "failed") {
        log.info({ mode: finding.mode, ...outcome }, "pull of the probe image by the runtime's path");
        return check;
      }
      return { ...check, finding: failedFinding(finding.mode, outcome.failure) };
    },
  };
}
