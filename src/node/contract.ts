import type { Registry } from "prom-client";
import type { Clock, Random } from "../clock.ts";
import type { Component } from "../cluster/component.ts";
import type { EventRecorder } from "../cluster/event.ts";
import { counterAt, gaugeAt } from "../cluster/metric.ts";
import { createQueue, type WorkOutcome } from "../cluster/queue.ts";
import type { Log } from "../log.ts";
import { RegistryError } from "../registry/registry-error.ts";
import type { ContractFinding, ContractRun, ContractTarget } from "./contract-run.ts";
import { type ContractResult, contractDueInMs, contractOf, contractResult, nextContract } from "./contract-verdict.ts";
import type { NodeView } from "./node-view.ts";
import { type NodesNow, verdictOf } from "./standing.ts";
import { verdictTrusts } from "./verdict.ts";
import type { VerdictBook } from "./verdict-book.ts";

/** Checks at the same time: each is a push of a kilobyte and two pods. */
const atOnce = 4;
/** After a check that said nothing about the node. */
const undecidedMs = 60_000;
/** How often leftovers and the probe image are looked after. */
const tidyMs = 600_000;
/** Until there is a registry and a mode. */
const waitMs = 5_000;
/** No node has such a name. */
const tidyKey = "_tidy";

export type ContractCheck = Component & {
  /** Nodes, verdicts, the registry or the mode have changed: nodes that are due are checked. */
  touch(): void;
};

/**
 * The contract check of all nodes, on the leader: once for every node that passes by its agent, again after each
 * change of CA, names, address or mode, and by back-off where it did not pass. The hourly look is the agents'.
 *
 * @param needs.target undefined while there is nothing to check: no registry, no mode, mode None, read-only
 */
export function createContractCheck(needs: {
  readonly world: () => NodesNow;
  readonly target: () => ContractTarget | undefined;
  readonly book: Pick<VerdictBook, "contracts" | "noteContract">;
  readonly run: ContractRun;
  readonly tidy: (target: ContractTarget, signal: AbortSignal) => Promise<void>;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Registry;
}): ContractCheck {
  const { book, clock, log } = needs;
  /** Monotonic times before which a node is not tried again, after checks that said nothing. */
  const notBefore = new Map<string, number>();
  const meter = createMeter(needs.metrics);

  async function tidy(signal: AbortSignal): Promise<WorkOutcome> {
    const target = needs.target();
    if (target === undefined || needs.world().nodes.length === 0) return { kind: "again", afterMs: waitMs };
    try {
      await needs.tidy(target, signal);
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      log.info({ found: error.message }, "the registry does not take the image of the hourly look yet");
      return { kind: "again", afterMs: waitMs };
    }
    return { kind: "again", afterMs: tidyMs };
  }

  async function checkNode(name: string, signal: AbortSignal): Promise<WorkOutcome> {
    const target = needs.target();
    const world = needs.world();
    const node = world.nodes.find((entry) => entry.name === name);
    if (target === undefined || node === undefined) return { kind: "done" };
    const dueInMs = nextCheckInMs(node, target, world, needs.book);
    if (dueInMs === undefined) return { kind: "done" };
    const waitsMs = Math.max(dueInMs, (notBefore.get(name) ?? 0) - clock.monotonicMs());
    if (waitsMs > 0) return { kind: "again", afterMs: waitsMs };
    const startMs = clock.monotonicMs();
    const found = await needs.run(name, target, signal);
    meter.checked(found);
    const tookMs = Math.round(clock.monotonicMs() - startMs);
    return note(node, target, { found, tookMs });
  }

  function note(
    node: NodeView,
    target: ContractTarget,
    { found, tookMs }: { readonly found: ContractFinding; readonly tookMs: number },
  ): WorkOutcome {
    const { mode, key } = target;
    log[found.kind === "passed" ? "info" : "warn"](
      { node: node.name, mode, outcome: found.kind, found: found.message, tookMs },
      "contract check",
    );
    if (found.kind === "undecided") {
      notBefore.set(node.name, clock.monotonicMs() + undecidedMs);
      return { kind: "again", afterMs: undecidedMs };
    }
    notBefore.delete(node.name);
    const previous = contractResult(node, mode, book.contracts());
    const { kind: outcome, message } = found;
    const reason = found.kind === "passed" ? "" : found.reason;
    const result = { mode, key, outcome, reason, message: outcome === "passed" ? "" : message, atMs: clock.nowMs() };
    const verdict = nextContract(book.contracts().get(node.name), node, result);
    book.noteContract(verdict);
    meter.show([...book.contracts().values()].map(({ modes }) => modes[mode]));
    tell(node, { previous, found, target });
    const dueInMs = contractDueInMs(verdict, target, clock.nowMs());
    return dueInMs === undefined ? { kind: "done" } : { kind: "again", afterMs: dueInMs };
  }

  /** An Event on the Node whenever the outcome changes. */
  function tell(
    node: NodeView,
    said: { readonly previous: ContractResult | undefined; readonly found: ContractFinding; target: ContractTarget },
  ): void {
    const { previous, found, target } = said;
    if (previous?.outcome === found.kind || found.kind === "undecided") return;
    const isGood = found.kind === "passed";
    needs.events.record({
      regarding: { apiVersion: "v1", kind: "Node", name: node.name, uid: node.uid },
      type: isGood ? "Normal" : "Warning",
      reason: isGood ? "ContractPassed" : found.reason,
      action: "CheckContract",
      note: `${target.mode}: ${found.message}`,
    });
  }

  const queue = createQueue({
    name: "contract-check",
    work: (name, signal) => (name === tidyKey ? tidy(signal) : checkNode(name, signal)),
    workers: atOnce,
    clock,
    random: needs.random,
    log,
    metrics: needs.metrics,
  });

  function touch(): void {
    const target = needs.target();
    if (target === undefined) return;
    const world = needs.world();
    for (const node of world.nodes) {
      if (nextCheckInMs(node, target, world, book) === 0) queue.add(node.name);
    }
  }

  return {
    name: "contract check",
    touch,
    async run(stop) {
      queue.add(tidyKey);
      for (const { name } of needs.world().nodes) queue.add(name);
      await queue.run(stop);
    },
  };
}

/** undefined: not due. A node whose agent does not pass, or has not taken over every CA yet, is not worth a check. */
function nextCheckInMs(
  node: NodeView,
  target: ContractTarget,
  world: NodesNow,
  book: Pick<VerdictBook, "contracts">,
): number | undefined {
  if (node.readySinceMs === undefined || node.labels["kubernetes.io/os"] === "windows") return undefined;
  const verdict = verdictOf(node, world.verdicts);
  if (verdict?.modes[target.mode]?.passing !== true) return undefined;
  if (!target.cas.every((fingerprint) => verdictTrusts(verdict, fingerprint))) return undefined;
  return contractDueInMs(contractOf(node, book.contracts()), target, world.nowMs);
}

function createMeter(metrics: Registry) {
  const checks = counterAt(metrics, {
    name: "slipway_contract_checks_total",
    help: "Contract checks of nodes, by outcome",
    labelNames: ["outcome"],
  });
  const failing = gaugeAt(metrics, {
    name: "slipway_contract_failing_nodes",
    help: "Nodes whose last contract check in the mode in force did not pass; of the leader",
    labelNames: [],
  });
  return {
    checked: ({ kind }: ContractFinding) => checks.inc({ outcome: kind }),
    show: (results: readonly (ContractResult | undefined)[]) =>
      failing.set(results.filter((result) => result !== undefined && result.outcome !== "passed").length),
  };
}
