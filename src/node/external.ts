import type { LookupFunction } from "node:net";
import { probeRegistry } from "./registry-probe.ts";
import { failedFinding, passedFinding, type Strategy, type StrategyOrder } from "./strategy.ts";

/**
 * A name and a certificate that nodes know already: nothing is written, every name of the registry is looked at as
 * the host resolves it and with the trust that the host has.
 *
 * @param needs.hostTrust the host's bundle of CAs, PEM; undefined where it is not mounted: Node's own then
 */
export function createExternalStrategy(needs: {
  readonly lookup: LookupFunction;
  readonly hostTrust: () => Promise<string | undefined>;
}): Strategy {
  let order: StrategyOrder | undefined;

  return {
    mode: "External",
    async apply(next) {
      order = next;
    },
    async check(signal) {
      const nothing = { trustedCas: [], usesCa: false } as const;
      const host = order?.registry.names[0];
      if (order === undefined || host === undefined) {
        const failure = { reason: "NotOrdered", message: "there is no registry to reach" };
        return { finding: failedFinding("External", failure), ...nothing };
      }
      const ca = (await needs.hostTrust()) ?? null;
      const kind = order.registry.kind ?? "hosted";
      const target = { url: `https://${host}`, ca, lookup: needs.lookup, kind };
      const failure = await probeRegistry(target, signal);
      if (failure !== undefined) return { finding: failedFinding("External", failure), ...nothing };
      return { finding: passedFinding("External", `${host} is reached and trusted as it is`), ...nothing, target };
    },
    async remove() {
      order = undefined;
      return { kind: "removed" };
    },
  };
}
