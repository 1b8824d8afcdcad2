import type { Clock } from "../clock.ts";

/** Counts failed logins per client address. */
export type Throttle = {
  /** Whether the address has failed too often within the last second. */
  isOver(address: string): boolean;
  fail(address: string): void;
};

const windowMs = 1_000;
const maxAddresses = 10_000;

/**
 * @param limit failed logins of one address in one second that are still answered with 401
 */
export function createThrottle(needs: { readonly clock: Clock; readonly limit: number }): Throttle {
  const windows = new Map<string, { readonly sinceMs: number; readonly failures: number }>();
  const current = (address: string) => {
    const window = windows.get(address);
    return window !== undefined && needs.clock.monotonicMs() - window.sinceMs < windowMs ? window : undefined;
  };
  return {
    isOver: (address) => (current(address)?.failures ?? 0) >= needs.limit,
    fail(address) {
      const { sinceMs, failures } = current(address) ?? { sinceMs: needs.clock.monotonicMs(), failures: 0 };
      windows.delete(address);
      windows.set(address, { sinceMs, failures: failures + 1 });
      const [oldest] = windows.keys();
      if (windows.size > maxAddresses && oldest !== undefined) windows.delete(oldest);
    },
  };
}
