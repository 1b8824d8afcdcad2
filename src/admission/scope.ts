import type { ImageRewriteSpec } from "../config/image-rewrite.ts";
import { selectorMatches } from "../config/selector.ts";

export type Labels = Readonly<Record<string, string>>;

type Selectors = Pick<ImageRewriteSpec, "namespaceSelector" | "podSelector">;
const [unknown, holds, fails] = [0, 1, 2];

/** What a namespace's labels select: which objects apply, and something that was built of exactly those. */
export type NamespaceScope<T> = {
  readonly has: (object: number) => boolean;
  readonly built: T;
};

/**
 * Asks the namespaceSelectors of all objects once for each labels object of a namespace, not for each pod. Namespaces
 * that the same objects select share what is built of them.
 *
 * @param build given the objects that have a namespaceSelector which holds, in order
 */
export function createNamespaceScopes<T>(
  objects: readonly Selectors[],
  build: (selected: ReadonlySet<number>) => T,
): (labels: Labels) => NamespaceScope<T> {
  const selective = [...objects.entries()].filter(([, { namespaceSelector }]) => namespaceSelector !== undefined);
  const bySelected = new Map<string, NamespaceScope<T>>();
  const byLabels = new WeakMap<Labels, NamespaceScope<T>>();
  const scopeOf = (selected: ReadonlySet<number>): NamespaceScope<T> => {
    const key = [...selected].join(",");
    let scope = bySelected.get(key);
    if (scope === undefined) {
      const has = (object: number) => selected.has(object) || objects[object]?.namespaceSelector === undefined;
      scope = { has, built: build(selected) };
      bySelected.set(key, scope);
    }
    return scope;
  };
  const unselected = scopeOf(new Set());
  return (labels) => {
    if (selective.length === 0) return unselected;
    let scope = byLabels.get(labels);
    if (scope === undefined) {
      const selected = selective.filter(([, { namespaceSelector }]) => selectorMatches(namespaceSelector, labels));
      scope = scopeOf(new Set(selected.map(([object]) => object)));
      byLabels.set(labels, scope);
    }
    return scope;
  };
}

/** Whether the podSelectors of objects hold for one pod, each asked at most once and only when a rule of it matches. */
export function createPodScope(objects: readonly Selectors[], labels: Labels): (object: number) => boolean {
  let answers: Uint8Array | undefined;
  return (object) => {
    const selector = objects[object]?.podSelector;
    if (selector === undefined) return true;
    answers ??= new Uint8Array(objects.length);
    if (answers[object] === unknown) answers[object] = selectorMatches(selector, labels) ? holds : fails;
    return answers[object] === holds;
  };
}
