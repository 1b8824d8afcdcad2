import type { NodeAccessMode } from "../config/local-registry.ts";
import type { Log } from "../log.ts";
import { readBundle } from "../tls/certificate.ts";
import type { HourlyLook } from "./hourly-look.ts";
import type { NodeFindings, NodeOrders } from "./protocol.ts";
import { failedFinding, type Strategy, type StrategyCheck, type StrategyOrder } from "./strategy.ts";
import type { CheckedOrders } from "./validate-orders.ts";

/** One pass over all modes: applies what is new, checks what is ordered, removes what is not wanted. */
export type NodeRound = {
  run(checked: CheckedOrders, signal: AbortSignal): Promise<NodeFindings>;
};

export function createNodeRound(needs: {
  readonly strategies: readonly Strategy[];
  /** Absent: nothing is pulled. */
  readonly look?: HourlyLook;
  readonly log: Log;
}): NodeRound {
  const byMode = new Map<NodeAccessMode, Strategy>(needs.strategies.map((strategy) => [strategy.mode, strategy]));
  const applied = new Map<NodeAccessMode, string>();

  async function check(strategy: Strategy, order: StrategyOrder, signal: AbortSignal): Promise<StrategyCheck> {
    const key = JSON.stringify(order);
    try {
      if (applied.get(strategy.mode) !== key) await strategy.apply(order, signal);
      applied.set(strategy.mode, key);
      return await strategy.check(signal);
    } catch (error) {
      signal.throwIfAborted();
      needs.log.error({ err: error, mode: strategy.mode }, "a mode of node access could not be checked");
      const message = `the agent failed (${error instanceof Error ? error.name : "unknown error"}); see its log`;
      return {
        finding: failedFinding(strategy.mode, { reason: "AgentFault", message }),
        trustedCas: [],
        usesCa: true,
      };
    }
  }

  /** Only the chosen mode, which is ordered first, is worth a pull. */
  async function lookFurther(
    checks: readonly StrategyCheck[],
    orders: NodeOrders,
    signal: AbortSignal,
  ): Promise<readonly StrategyCheck[]> {
    const [chosen, ...others] = checks;
    if (chosen === undefined || needs.look === undefined) return checks;
    return [await needs.look.extend(chosen, orders, signal), ...others];
  }

  async function remove(mode: NodeAccessMode, signal: AbortSignal): Promise<boolean> {
    applied.delete(mode);
    const outcome = await byMode.get(mode)?.remove(signal);
    if (outcome?.kind === "left") needs.log.warn({ mode, found: outcome.message }, "not everything could be removed");
    return outcome === undefined || outcome.kind === "removed";
  }

  return {
    async run({ orders, refused }, signal) {
      const order = strategyOrder(orders);
      const removed: NodeAccessMode[] = [];
      for (const mode of orders.remove) if (await remove(mode, signal)) removed.push(mode);
      const wanted = order === undefined ? [] : orders.modes.flatMap((mode) => byMode.get(mode) ?? []);
      const found = order === undefined ? [] : await Promise.all(wanted.map((one) => check(one, order, signal)));
      const checks = await lookFurther(found, orders, signal);
      return {
        modes: checks.map(({ finding }) => withRefused(finding, refused)),
        trustedCas: trustedCas(checks, orders),
        removed,
      };
    },
  };
}

function strategyOrder(orders: NodeOrders): StrategyOrder | undefined {
  if (orders.registry === null) return undefined;
  const { name = null, version = null } = orders.runtime ?? {};
  return { registry: orders.registry, runtimeName: name, runtimeVersion: version };
}

/** Names matter to certs.d alone: the others do not write them anywhere. */
function withRefused(finding: StrategyCheck["finding"], refused: readonly string[]): StrategyCheck["finding"] {
  if (refused.length === 0 || finding.mode !== "HostsToml" || !finding.passed) return finding;
  const message = `names that the agent does not serve: ${refused.join("; ")}`;
  return failedFinding("HostsToml", { reason: "OrderRefused", message });
}

/**
 * The CAs that this node has in use: those that every passing mode that needs one has. Where only modes pass that
 * need none, the ordered ones: nothing here waits for them.
 */
function trustedCas(checks: readonly StrategyCheck[], orders: NodeOrders): readonly string[] {
  const passing = checks.filter(({ finding }) => finding.passed);
  const [first, ...others] = passing.filter(({ usesCa }) => usesCa).map((check) => check.trustedCas);
  if (first !== undefined) return first.filter((ca) => others.every((cas) => cas.includes(ca)));
  if (passing.length === 0) return [];
  return readBundle(orders.registry?.ca ?? "").map((certificate) => certificate.fingerprint);
}
