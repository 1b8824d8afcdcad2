import type { Reference } from "../reference/reference.ts";
import type { OriginPattern } from "./rule.ts";
import { createRuleTree, type RuleTree } from "./rule-tree.ts";

/** Origin patterns by registry, then by path: the cost of a look-up does not grow with their number. */
export type RegistryTrees = {
  /** Orders must be added in ascending order. */
  readonly add: (pattern: OriginPattern, order: number) => void;
  /** @returns the lowest order below `limit` whose pattern matches and that `accept` takes, else `limit` */
  readonly lowest: (origin: Reference, limit: number, accept: (order: number) => boolean) => number;
};

export function createRegistryTrees(): RegistryTrees {
  const any = createRuleTree();
  const exact = new Map<string, RuleTree>();
  const suffix = new Map<string, RuleTree>();
  const treeOf = ({ registry }: OriginPattern): RuleTree => {
    if (registry.kind === "any") return any;
    return registry.kind === "exact" ? treeAt(exact, registry.registry) : treeAt(suffix, registry.suffix);
  };
  return {
    add: (pattern, order) => treeOf(pattern).add(pattern.repository?.segments, order),
    lowest(origin, limit, accept) {
      const registry = origin.registry.toLowerCase();
      const path = origin.path.split("/");
      let best = exact.get(registry)?.lowest(path, limit, accept) ?? limit;
      if (suffix.size > 0) {
        for (let dot = registry.indexOf(".", 1); dot >= 0; dot = registry.indexOf(".", dot + 1)) {
          best = suffix.get(registry.slice(dot))?.lowest(path, best, accept) ?? best;
        }
      }
      return any.lowest(path, best, accept);
    },
  };
}

function treeAt(trees: Map<string, RuleTree>, key: string): RuleTree {
  let tree = trees.get(key);
  if (tree === undefined) {
    tree = createRuleTree();
    trees.set(key, tree);
  }
  return tree;
}
