import type { GlobSegment } from "../reference/glob.ts";
import { createSegmentIndex, type SegmentIndex } from "./segment-index.ts";

/**
 * Globs by segment, so that the cost of a look-up follows from the path and not from the number of globs. Each glob
 * carries an order; look-ups ask for the lowest one.
 */
export type RuleTree = {
  /** Orders must be added in ascending order. Without a glob every path matches. */
  readonly add: (glob: readonly GlobSegment[] | undefined, order: number) => void;
  /** @returns the lowest order below `limit` whose glob matches the path and that `accept` takes, else `limit` */
  readonly lowest: (path: readonly string[], limit: number, accept: (order: number) => boolean) => number;
};

type Node = {
  readonly orders: number[];
  literals: Map<string, Node> | undefined;
  partials: SegmentIndex<Node> | undefined;
  one: Node | undefined;
  /** Reached without a segment, and stays. */
  many: Node | undefined;
  readonly stays: boolean;
  /** The walk and position that has this node already. */
  seen: number;
};

export function createRuleTree(): RuleTree {
  const root = createNode(false);
  const everyPath: number[] = [];
  let first = Number.POSITIVE_INFINITY;
  let walk = 0;
  const enter = (node: Node, into: Node[]): void => {
    for (let next: Node | undefined = node; next !== undefined && next.seen !== walk; next = next.many) {
      next.seen = walk;
      into.push(next);
    }
  };
  const step = (nodes: readonly Node[], segment: string): Node[] => {
    walk++;
    const reached: Node[] = [];
    for (const node of nodes) {
      if (node.stays) enter(node, reached);
      const literal = node.literals?.get(segment);
      if (literal !== undefined) enter(literal, reached);
      if (node.one !== undefined) enter(node.one, reached);
      node.partials?.each(segment, (next) => enter(next, reached));
    }
    return reached;
  };
  return {
    add(glob, order) {
      if (glob === undefined) {
        everyPath.push(order);
        return;
      }
      first = Math.min(first, order);
      let node = root;
      for (const segment of glob) node = childOf(node, segment);
      node.orders.push(order);
    },
    lowest(path, limit, accept) {
      let best = lowestOf(everyPath, limit, accept);
      if (best < first) return best;
      walk++;
      let nodes: Node[] = [];
      enter(root, nodes);
      for (const segment of path) nodes = step(nodes, segment);
      for (const node of nodes) best = lowestOf(node.orders, best, accept);
      return best;
    },
  };
}

function lowestOf(orders: readonly number[], limit: number, accept: (order: number) => boolean): number {
  for (const order of orders) {
    if (order >= limit) return limit;
    if (accept(order)) return order;
  }
  return limit;
}

function createNode(stays: boolean): Node {
  return { orders: [], literals: undefined, partials: undefined, one: undefined, many: undefined, stays, seen: 0 };
}

function childOf(node: Node, segment: GlobSegment): Node {
  switch (segment.kind) {
    case "one":
      node.one ??= createNode(false);
      return node.one;
    case "many":
      node.many ??= createNode(true);
      return node.many;
    case "partial":
      node.partials ??= createSegmentIndex();
      return node.partials.at(segment, () => createNode(false));
    case "literal":
      return literalChild(node, segment.text);
  }
}

function literalChild(node: Node, text: string): Node {
  node.literals ??= new Map();
  let child = node.literals.get(text);
  if (child === undefined) {
    child = createNode(false);
    node.literals.set(text, child);
  }
  return child;
}
