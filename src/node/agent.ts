import type { Clock, Random } from "../clock.ts";
import type { Component } from "../cluster/component.ts";
import type { Log } from "../log.ts";
import { slipwayVersion } from "../version.ts";
import type { NodeRound } from "./node-round.ts";
import { type NodeFindings, type NodeReport, nodeProtocolVersion } from "./protocol.ts";
import type { PollOutcome, ServeClient } from "./serve-client.ts";
import type { CheckedOrders } from "./validate-orders.ts";

/** How often everything is looked at while it works. */
export const checkEveryMs = 60_000;
/** While it does not: from one second, doubling, to fifteen. */
const firstRetryMs = 1_000;
const lastRetryMs = 15_000;
/** While serve is away. */
const lastBackoffMs = 30_000;
/** From the start of one poll to the next, but for news. */
const shortestPollMs = 250;

/** What the rounds remember: the orders of the last one, and how long the wait after it was. */
type Waiting = { readonly revision: string; readonly waitMs: number };

export type NodeAgent = Component & {
  /** A first round has ended. */
  ready(): boolean;
  /** Rounds still end. */
  live(): boolean;
};

/**
 * The node agent: takes orders by long poll, keeps the node as ordered, and reports what it finds. While serve is
 * away it goes on with its last orders. At a stop everything on the node stays.
 */
export function createNodeAgent(needs: {
  readonly round: NodeRound;
  readonly serve: ServeClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}): NodeAgent {
  const { clock, log } = needs;
  let checked: CheckedOrders | undefined;
  let findings: NodeFindings | null = null;
  let lastRoundMs = clock.monotonicMs();
  /** Ends the sleep between rounds: orders have changed. */
  let wake = new AbortController();
  /** Ends the waiting poll: there is something to tell. */
  let news = new AbortController();

  async function pause(durationMs: number, stop: AbortSignal, early?: AbortSignal): Promise<void> {
    const signal = early === undefined ? stop : AbortSignal.any([stop, early]);
    if (durationMs <= 0) return;
    try {
      await clock.sleep(durationMs, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async function roundOnce(current: CheckedOrders, stop: AbortSignal): Promise<NodeFindings> {
    const found = await needs.round.run(current, stop);
    const before = findings;
    findings = found;
    lastRoundMs = clock.monotonicMs();
    logChanges(before, found);
    if (JSON.stringify(before) !== JSON.stringify(found) || !isWell(found)) news.abort();
    return found;
  }

  function logChanges(before: NodeFindings | null, found: NodeFindings): void {
    for (const { mode, passed, reason, message } of found.modes) {
      const previous = before?.modes.find((entry) => entry.mode === mode);
      if (previous?.passed === passed && previous.reason === reason) continue;
      log[passed ? "info" : "warn"]({ mode, passed, reason, found: message }, "node access");
    }
  }

  /** @returns how long to wait until the next round */
  async function roundAndWait(last: Waiting, stop: AbortSignal): Promise<Waiting> {
    const current = checked;
    if (current === undefined) {
      lastRoundMs = clock.monotonicMs();
      return { revision: "", waitMs: checkEveryMs };
    }
    const found = await roundOnce(current, stop);
    const { revision } = current.orders;
    if (isWell(found)) return { revision, waitMs: checkEveryMs };
    const isFirst = last.revision !== revision || last.waitMs === checkEveryMs;
    return { revision, waitMs: isFirst ? firstRetryMs : Math.min(lastRetryMs, last.waitMs * 2) };
  }

  async function runRounds(stop: AbortSignal): Promise<void> {
    let last: Waiting = { revision: "", waitMs: checkEveryMs };
    while (!stop.aborted) {
      last = await roundAndWait(last, stop);
      await pause(last.waitMs, stop, wake.signal);
      if (wake.signal.aborted) wake = new AbortController();
    }
  }

  function report(): NodeReport {
    const seen = checked?.orders.revision ?? "";
    return { protocol: nodeProtocolVersion, seen, agentVersion: slipwayVersion, findings };
  }

  function take(outcome: PollOutcome & { kind: "orders" }): void {
    const { orders, refused } = outcome.checked;
    if (orders.revision === checked?.orders.revision) return;
    const { revision, modes, remove } = orders;
    log.info({ revision, modes, remove, names: orders.registry?.names ?? [] }, "new orders");
    if (refused.length > 0) log.warn({ refused }, "part of the orders is not carried out");
    checked = outcome.checked;
    wake.abort();
  }

  async function runPolls(stop: AbortSignal): Promise<void> {
    let failures = 0;
    while (!stop.aborted) {
      const startMs = clock.monotonicMs();
      news = new AbortController();
      const outcome = await pollOnce(AbortSignal.any([stop, news.signal]));
      if (outcome === "interrupted") continue;
      if (outcome.kind === "orders") {
        if (failures > 0) log.info({ failures }, "serve is back");
        failures = 0;
        take(outcome);
      } else {
        failures += 1;
        await pause(backoffMs(failures, outcome.retryAfterMs), stop);
      }
      // A replica that is stopping answers at once: it is not asked without end.
      await pause(shortestPollMs - (clock.monotonicMs() - startMs), stop);
    }
  }

  function backoffMs(failures: number, retryAfterMs: number | undefined): number {
    const ceilingMs = Math.min(lastBackoffMs, 500 * 2 ** Math.min(failures, 10));
    return Math.max(retryAfterMs ?? 0, ceilingMs * (0.5 + needs.random() / 2));
  }

  async function pollOnce(signal: AbortSignal): Promise<PollOutcome | "interrupted"> {
    try {
      const outcome = await needs.serve.poll(report(), signal);
      if (outcome.kind === "refused") log.warn({ found: outcome.message }, "serve refused a poll");
      return outcome;
    } catch (error) {
      if (signal.aborted) return "interrupted";
      log.warn({ err: error }, "serve cannot be reached; the last orders stay in force");
      return { kind: "refused", message: "serve cannot be reached", retryAfterMs: undefined };
    }
  }

  return {
    name: "node-agent",
    async run(stop) {
      await Promise.all([untilStopped(runRounds(stop), stop), runPolls(stop)]);
    },
    ready: () => findings !== null,
    live: () => clock.monotonicMs() - lastRoundMs < 5 * checkEveryMs,
  };
}

/** Whether the chosen mode, which is ordered first, passes, or nothing is ordered. */
function isWell(findings: NodeFindings): boolean {
  const [chosen] = findings.modes;
  return chosen === undefined || chosen.passed || (chosen.mode === "None" && findings.modes.length === 1);
}

/** A round that is cut off by the stop ends like one that was finished. */
async function untilStopped(work: Promise<void>, stop: AbortSignal): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!stop.aborted) throw error;
  }
}
