import type { ContainerRuntime, NodeOrders } from "./protocol.ts";

/** What distinguishes the orders of one node from those of another. */
export type NodeShare = { readonly runtime: ContainerRuntime | null; readonly lookCount: number };

/** The orders of all nodes, composed once for all nodes that are told the same. */
export type OrderBook = {
  of(share: NodeShare): NodeOrders | undefined;
  /** Something that orders are made from has changed. */
  forget(): void;
};

/**
 * Thousands of agents wait at a replica and every change makes it look at all of them: a revision is a hash over
 * names, CA and login, which differ between no two nodes of the same runtime.
 *
 * @param compose undefined while orders are not known, which is asked anew each time
 */
export function createOrderBook(compose: (share: NodeShare) => NodeOrders | undefined): OrderBook {
  const known = new Map<string, NodeOrders>();
  return {
    of(share) {
      const { runtime, lookCount } = share;
      const key = runtime === null ? `${lookCount}` : `${lookCount} ${runtime.name} ${runtime.version}`;
      const found = known.get(key) ?? compose(share);
      if (found !== undefined) known.set(key, found);
      return found;
    },
    forget: () => known.clear(),
  };
}
