import type { Clock } from "../clock.ts";
import { type NodeFindings, type NodeOrders, type NodeReport, pollSeconds } from "./protocol.ts";

/** Who asks, as the TokenReview said. */
export type NodeIdentity = { readonly name: string; readonly uid: string };

export type DeskAnswer =
  | { readonly kind: "orders"; readonly orders: NodeOrders }
  /** This replica does not know yet what to order. */
  | { readonly kind: "unknown" }
  /** More polls are waiting than this replica takes. */
  | { readonly kind: "busy" };

type Wake = "changed" | "superseded" | "time";
type Waiter = { readonly node: NodeIdentity; readonly seen: string; readonly wake: (why: Wake) => void };

/** Where node agents report and wait for orders. */
export type NodeDesk = {
  /** Answers at once when the orders differ from what the agent acts on, else when they change, at most 50 s later. */
  poll(node: NodeIdentity, report: NodeReport, signal: AbortSignal): Promise<DeskAnswer>;
  /**
   * Something that orders are made from has changed: polls whose orders are others now are answered.
   *
   * @param node the one node that it concerns; all of them unless given
   */
  wake(node?: string): void;
  /** Answers every waiting poll at once, so that agents go to another replica; later ones do not wait either. */
  drain(): void;
  waiting(): number;
};

/**
 * @param needs.orders the orders of one node at this moment; undefined while they are not known
 * @param needs.note takes findings into the verdicts; it does not reject
 * @param needs.limit how many polls may wait at once
 */
export function createNodeDesk(needs: {
  readonly orders: (node: NodeIdentity) => NodeOrders | undefined;
  readonly note: (node: NodeIdentity, findings: NodeFindings) => void;
  readonly clock: Clock;
  readonly limit: number;
}): NodeDesk {
  const waiters = new Map<string, Waiter>();
  let isDraining = false;

  /** One poll of each node waits: a newer one ends it, since its agent has gone away or has something new to say. */
  async function wait(
    node: NodeIdentity,
    { seen, deadlineMs }: { readonly seen: string; readonly deadlineMs: number },
    signal: AbortSignal,
  ): Promise<Wake> {
    waiters.get(node.name)?.wake("superseded");
    const woken = new AbortController();
    let why: Wake = "time";
    const wake = (reason: Wake) => {
      why = reason;
      woken.abort();
    };
    const waiter = { node, seen, wake };
    waiters.set(node.name, waiter);
    try {
      await needs.clock.sleep(deadlineMs - needs.clock.monotonicMs(), AbortSignal.any([signal, woken.signal]));
    } catch (error) {
      if (signal.aborted || !woken.signal.aborted) throw error;
    } finally {
      if (waiters.get(node.name) === waiter) waiters.delete(node.name);
    }
    return why;
  }

  function answer(node: NodeIdentity): DeskAnswer {
    const orders = needs.orders(node);
    return orders === undefined ? { kind: "unknown" } : { kind: "orders", orders };
  }

  function canWait(node: string): boolean {
    return waiters.size < needs.limit || waiters.has(node);
  }

  async function pollUntil(
    node: NodeIdentity,
    until: { readonly seen: string; readonly deadlineMs: number },
    signal: AbortSignal,
  ): Promise<DeskAnswer> {
    for (;;) {
      const now = answer(node);
      if (isDraining || isNews(now, until.seen)) return now;
      if (!canWait(node.name)) return { kind: "busy" };
      const why = await wait(node, until, signal);
      if (why !== "changed") return answer(node);
    }
  }

  /** One that would be told nothing new is not woken: at each change thousands may wait. */
  function wakeChanged(name?: string): void {
    const chosen = name === undefined ? [...waiters.values()] : [waiters.get(name)];
    for (const waiter of chosen) {
      if (waiter !== undefined && isNews(answer(waiter.node), waiter.seen)) waiter.wake("changed");
    }
  }

  return {
    poll(node, report, signal) {
      if (report.findings !== null) needs.note(node, report.findings);
      const deadlineMs = needs.clock.monotonicMs() + pollSeconds * 1000;
      return pollUntil(node, { seen: report.seen, deadlineMs }, signal);
    },
    wake: wakeChanged,
    drain() {
      isDraining = true;
      for (const { wake } of [...waiters.values()]) wake("changed");
    },
    waiting: () => waiters.size,
  };
}

function isNews(now: DeskAnswer, seen: string): boolean {
  return now.kind === "orders" && now.orders.revision !== seen;
}
