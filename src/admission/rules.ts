import type { CompiledRewrite } from "../config/compiled.ts";
import { matchesGlob } from "../reference/glob.ts";
import type { Reference } from "../reference/reference.ts";
import { matchesRegistry } from "../reference/registry-pattern.ts";
import type { TargetText } from "../reference/target.ts";
import { createRegistryTrees, type RegistryTrees } from "./registry-trees.ts";
import { type OriginPattern, type Rule, readRule } from "./rule.ts";
import { createNamespaceScopes, createPodScope, type Labels, type NamespaceScope } from "./scope.ts";
import { createTargetIndex, type TargetIndex } from "./target-index.ts";

/** The rules of all ImageRewrite objects, compiled once per change; what a pod costs does not grow with their number. */
export type CompiledRules = {
  /** How many rules take part. */
  readonly count: number;
  /** The rules as one pod sees them. Pass the same labels object of a namespace again and its selectors are not asked twice. */
  readonly forPod: (namespaceLabels: Labels, podLabels: Labels) => PodRules;
};

export type PodRules = {
  /** The first rule, in order, that matches the reference, its `exclude` and its object's selectors included. */
  readonly find: (reference: Reference) => MatchedRule | undefined;
  /** Whether a reference already stands where a rule of this namespace would send an origin: it is left as it is. */
  readonly isResult: (reference: Reference) => boolean;
  /** Whether a rule of this namespace makes `result` of `origin`; local targets are not asked here. */
  readonly makes: (origin: Reference, result: Reference) => boolean;
};

export type MatchedRule = {
  /** `<object>#<number from 1>`. */
  readonly label: string;
  readonly target: TargetText;
  readonly keepHost: boolean;
  readonly when: "IfPresent" | "Always";
};

type PlacedRule = MatchedRule & {
  readonly order: number;
  readonly object: number;
  readonly match: OriginPattern;
  readonly exclude: readonly OriginPattern[];
};

/**
 * Compiles the rules in order of evaluation. Inactive rules take no part; a rule that cannot be read takes none either
 * (analyseRewrites says so to the user), so that compiling never fails.
 */
export function compileRules(rewrites: readonly CompiledRewrite[]): CompiledRules {
  const objects = rewrites.map(({ spec }) => spec);
  const rules = placeRules(rewrites);
  const targets = createTargetIndex();
  for (const { order, object, target, match, keepHost } of rules) {
    if (target.kind === "registry") targets.add({ match, keepHost }, target, { order, object });
  }
  const isShared = ({ object }: PlacedRule) => objects[object]?.namespaceSelector === undefined;
  const shared = treesOf(rules.filter(isShared));
  const selective = rules.filter((rule) => !isShared(rule));
  const scopeOf = createNamespaceScopes(objects, (selected) =>
    treesOf(selective.filter(({ object }) => selected.has(object))),
  );
  return {
    count: rules.length,
    forPod: (namespaceLabels, podLabels) =>
      podRules({ rules, shared, targets }, scopeOf(namespaceLabels), createPodScope(objects, podLabels)),
  };
}

function placeRules(rewrites: readonly CompiledRewrite[]): PlacedRule[] {
  const rules: PlacedRule[] = [];
  for (const [object, { name, spec, inactive }] of rewrites.entries()) {
    const skipped = new Set(inactive);
    for (const [index, text] of spec.rules.entries()) {
      const rule: Rule | string = skipped.has(index) ? "inactive" : readRule(text);
      if (typeof rule === "string") continue;
      const label = `${name}#${index + 1}`;
      rules.push({ ...rule, label, when: spec.when ?? "IfPresent", order: rules.length, object });
    }
  }
  return rules;
}

function treesOf(rules: readonly PlacedRule[]): RegistryTrees {
  const trees = createRegistryTrees();
  for (const { match, order } of rules) trees.add(match, order);
  return trees;
}

type Compilation = {
  readonly rules: readonly PlacedRule[];
  /** Of the objects without a namespaceSelector. */
  readonly shared: RegistryTrees;
  readonly targets: TargetIndex;
};

function podRules(
  { rules, shared, targets }: Compilation,
  namespace: NamespaceScope<RegistryTrees>,
  hasPod: (object: number) => boolean,
): PodRules {
  const search = (origin: Reference, accept: (order: number) => boolean): PlacedRule | undefined => {
    const covers = (order: number): boolean => accept(order) && !isExcluded(rules[order]?.exclude ?? [], origin);
    return rules[namespace.built.lowest(origin, shared.lowest(origin, rules.length, covers), covers)];
  };
  const isMatch = (origin: Reference, orders: ReadonlySet<number>): boolean =>
    search(origin, (order) => orders.has(order)) !== undefined;
  return {
    find: (reference) => search(reference, (order) => hasPod(rules[order]?.object ?? -1)),
    isResult: (reference) => targets.isResult(reference, namespace.has, isMatch),
    makes: (origin, result) => targets.makes(origin, result, namespace.has, isMatch),
  };
}

function isExcluded(exclude: readonly OriginPattern[], origin: Reference): boolean {
  for (const { registry, repository } of exclude) {
    if (!matchesRegistry(registry, origin.registry.toLowerCase())) continue;
    if (repository === undefined || matchesGlob(repository, origin.path)) return true;
  }
  return false;
}
