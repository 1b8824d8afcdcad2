import type { Reference } from "../reference/reference.ts";
import { mappedPath, segmentHost } from "../reference/rewrite.ts";
import type { Rule } from "./rule.ts";

/**
 * The targets of the rules that send references to another registry, by registry and prefix: which references already
 * stand there, and of which origin a rule would have made them.
 */
export type TargetIndex = {
  readonly add: (
    rule: Pick<Rule, "match" | "keepHost">,
    target: { readonly registry: string; readonly prefix: string },
    at: Place,
  ) => void;
  readonly isResult: (reference: Reference, hasObject: HasObject, isMatch: IsMatch) => boolean;
  readonly makes: (origin: Reference, result: Reference, hasObject: HasObject, isMatch: IsMatch) => boolean;
};

type Place = { readonly order: number; readonly object: number };
type HasObject = (object: number) => boolean;
/** Whether one of the rules of these orders, its object's namespaceSelector included, matches the origin. */
type IsMatch = (origin: Reference, orders: ReadonlySet<number>) => boolean;

/** What one registry and prefix receives. */
type Target = {
  readonly prefix: string;
  /** Objects with a rule that keeps the source host here. */
  readonly keeping: Set<number>;
  /** Source host, lower case → rules that drop it here. Only an exact host can be dropped. */
  readonly dropping: Map<string, Set<number>>;
};

export function createTargetIndex(): TargetIndex {
  const registries = new Map<string, Map<string, Target>>();
  return {
    add({ match, keepHost }, { registry, prefix }, { order, object }) {
      const prefixes = entry(registries, registry.toLowerCase(), () => new Map<string, Target>());
      const target = entry(prefixes, prefix, () => ({ prefix, keeping: new Set<number>(), dropping: new Map() }));
      if (keepHost) target.keeping.add(object);
      else if (match.registry.kind === "exact") {
        entry(target.dropping, match.registry.registry, () => new Set<number>()).add(order);
      }
    },
    isResult(reference, hasObject, isMatch) {
      for (const target of targetsOf(registries, reference)) {
        const rest = restOf(reference.path, target.prefix);
        const slash = rest.indexOf("/");
        const keepsHost = slash > 0 && segmentHost(rest.slice(0, slash)) !== undefined;
        if (keepsHost && anyOf(target.keeping, hasObject)) return true;
        for (const [registry, orders] of target.dropping) {
          if (isMatch({ registry, path: rest }, orders)) return true;
        }
      }
      return false;
    },
    makes(origin, result, hasObject, isMatch) {
      if (origin.tag !== result.tag || origin.digest !== result.digest) return false;
      return targetsOf(registries, result).some(({ prefix, keeping, dropping }) => {
        if (mappedPath(origin, prefix, true) === result.path && anyOf(keeping, hasObject)) return true;
        const orders = dropping.get(origin.registry.toLowerCase());
        return orders !== undefined && mappedPath(origin, prefix, false) === result.path && isMatch(origin, orders);
      });
    },
  };
}

/** The targets above a path: one look for each of its segments. */
function targetsOf(registries: ReadonlyMap<string, ReadonlyMap<string, Target>>, reference: Reference): Target[] {
  const prefixes = registries.size === 0 ? undefined : registries.get(reference.registry.toLowerCase());
  if (prefixes === undefined) return [];
  const found: Target[] = [];
  for (let end = 0; end >= 0; end = reference.path.indexOf("/", end + 1)) {
    const target = prefixes.get(reference.path.slice(0, end));
    if (target !== undefined) found.push(target);
  }
  return found;
}

function restOf(path: string, prefix: string): string {
  return prefix === "" ? path : path.slice(prefix.length + 1);
}

function anyOf(objects: ReadonlySet<number>, hasObject: HasObject): boolean {
  for (const object of objects) if (hasObject(object)) return true;
  return false;
}

function entry<K, V>(map: Map<K, V>, key: K, create: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = create();
    map.set(key, value);
  }
  return value;
}
