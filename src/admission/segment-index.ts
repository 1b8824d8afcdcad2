import { type GlobSegment, matchesSegment } from "../reference/glob.ts";

type Edge<T> = { readonly segment: GlobSegment; readonly source: string; readonly value: T };

/**
 * The partial globs that leave one node of a rule tree (`app-*`, `*-debug`), found by the fixed text at their beginning
 * or end, so that thousands of them cost one look for each length of that text.
 */
export type SegmentIndex<T> = {
  /** @returns the value of that glob, made when it is new */
  readonly at: (segment: GlobSegment & { readonly kind: "partial" }, create: () => T) => T;
  /** Calls `visit` with the value of each glob that matches. */
  readonly each: (text: string, visit: (value: T) => void) => void;
};

export function createSegmentIndex<T>(): SegmentIndex<T> {
  const byBeginning = new Map<number, Map<string, Edge<T>[]>>();
  const byEnd = new Map<number, Map<string, Edge<T>[]>>();
  return {
    at(segment, create) {
      const source = segment.pieces.join("*");
      const beginning = segment.pieces[0] ?? "";
      const text = beginning === "" ? (segment.pieces.at(-1) ?? "") : beginning;
      const edges = edgesAt(beginning === "" ? byEnd : byBeginning, text);
      const known = edges.find((edge) => edge.source === source);
      if (known !== undefined) return known.value;
      const edge: Edge<T> = { segment, source, value: create() };
      edges.push(edge);
      return edge.value;
    },
    each(text, visit) {
      for (const [length, edges] of byBeginning) visitMatching(edges.get(text.slice(0, length)), text, visit);
      for (const [length, edges] of byEnd) visitMatching(edges.get(text.slice(text.length - length)), text, visit);
    },
  };
}

function edgesAt<T>(index: Map<number, Map<string, Edge<T>[]>>, text: string): Edge<T>[] {
  let sameLength = index.get(text.length);
  if (sameLength === undefined) {
    sameLength = new Map();
    index.set(text.length, sameLength);
  }
  let edges = sameLength.get(text);
  if (edges === undefined) {
    edges = [];
    sameLength.set(text, edges);
  }
  return edges;
}

function visitMatching<T>(edges: readonly Edge<T>[] | undefined, text: string, visit: (value: T) => void): void {
  for (const edge of edges ?? []) {
    if (matchesSegment(edge.segment, text)) visit(edge.value);
  }
}
