import { pathSetsOverlap } from "../reference/glob-overlap.ts";
import { haveSameOrigins, type Receiver } from "./receiver.ts";

/**
 * The active rules by the beginning of the paths that they write to: a new rule is compared only with those whose paths
 * could be its own.
 */
export type ReceiverIndex = {
  readonly add: (receiver: Receiver) => void;
  /** @returns a rule by which another origin would end at one of the paths of `receiver` */
  readonly findCollision: (receiver: Receiver) => Receiver | undefined;
};

type Node = {
  readonly children: Map<string, Node>;
  /** Receivers that say the same of an origin stand together: none of them collides with another. */
  readonly kinds: Map<string, Receiver[]>;
};

export function createReceiverIndex(): ReceiverIndex {
  const root = createNode();
  return {
    add(receiver) {
      const node = keysOf(receiver).reduce(childOf, root);
      const kind = kindOf(receiver);
      const same = node.kinds.get(kind);
      if (same === undefined) node.kinds.set(kind, [receiver]);
      else same.push(receiver);
    },
    findCollision(receiver) {
      let node: Node | undefined = root;
      for (const key of keysOf(receiver)) {
        const found = collisionIn(node, receiver);
        if (found !== undefined) return found;
        node = node.children.get(key);
        if (node === undefined) return undefined;
      }
      return collisionBelow(node, receiver);
    },
  };
}

function collisionBelow(top: Node, receiver: Receiver): Receiver | undefined {
  const open = [top];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const found = collisionIn(node, receiver);
    if (found !== undefined) return found;
    open.push(...node.children.values());
  }
  return undefined;
}

function collisionIn({ kinds }: Node, receiver: Receiver): Receiver | undefined {
  for (const same of kinds.values()) {
    const [one] = same;
    if (one === undefined || haveSameOrigins(one, receiver)) continue;
    const found = same.find((other) => pathSetsOverlap(other.paths, receiver.paths));
    if (found !== undefined) return found;
  }
  return undefined;
}

function keysOf({ registry, literal }: Receiver): readonly string[] {
  return [registry, ...literal];
}

function kindOf({ prefix, dropped }: Receiver): string {
  return `${prefix} ${dropped ?? ""}`;
}

function createNode(): Node {
  return { children: new Map(), kinds: new Map() };
}

function childOf(node: Node, key: string): Node {
  let child = node.children.get(key);
  if (child === undefined) {
    child = createNode();
    node.children.set(key, child);
  }
  return child;
}
