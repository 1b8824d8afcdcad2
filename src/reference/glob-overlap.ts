import type { GlobSegment } from "./glob.ts";

/** A set of paths: those that one of `include` matches and none of `exclude`. */
export type PathSet = {
  readonly include: readonly (readonly GlobSegment[])[];
  readonly exclude: readonly (readonly GlobSegment[])[];
};

/**
 * Above so many steps the answer is "yes": the search is exact, but a set of globs can be made for which it is long.
 * A few dozen excludes stay far below.
 */
const stepLimit = 20_000;

/**
 * Whether a path exists that is in both sets, found by walking the automata of all globs side by side.
 *
 * @returns false only when there is none
 */
export function pathSetsOverlap(a: PathSet, b: PathSet): boolean {
  const machines = [a.include, a.exclude, b.include, b.exclude].map(compile);
  const letters = alphabet(machines);
  const start = machines.map((machine) => closure(machine, machine.start));
  const seen = new Set([keyOf(start)]);
  const open = [start];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (isWitness(machines, next)) return true;
    for (const letter of letters) {
      const reached = machines.map((machine, index) => step(machine, next[index] ?? [], letter));
      if (reached[0]?.length === 0 || reached[2]?.length === 0) continue;
      const key = keyOf(reached);
      if (seen.has(key)) continue;
      if (seen.size >= stepLimit) return true;
      seen.add(key);
      open.push(reached);
    }
  }
  return false;
}

type State = {
  /** To the next state, by exactly this character. */
  literal: string | undefined;
  /** By any character but `/`; stays or goes on. */
  anyTo: number[];
  /** To the next state by `literal`. */
  literalTo: number;
  free: number[];
};
type Machine = { readonly states: State[]; readonly start: readonly number[]; readonly accepting: Set<number> };

const slash = "/";
/** Stands for every character that no glob spells out. */
const other = "\u0000";

function isWitness(machines: readonly Machine[], sets: readonly (readonly number[])[]): boolean {
  const accepts = (index: number): boolean =>
    (sets[index] ?? []).some((state) => machines[index]?.accepting.has(state));
  return accepts(0) && !accepts(1) && accepts(2) && !accepts(3);
}

function keyOf(sets: readonly (readonly number[])[]): string {
  return sets.map((set) => set.join(",")).join(";");
}

function alphabet(machines: readonly Machine[]): string[] {
  const letters = new Set([slash, other]);
  for (const { states } of machines) {
    for (const { literal } of states) if (literal !== undefined) letters.add(literal);
  }
  return [...letters];
}

function step(machine: Machine, from: readonly number[], letter: string): number[] {
  const to: number[] = [];
  for (const index of from) {
    const state = machine.states[index];
    if (state === undefined) continue;
    if (state.literal === letter) to.push(state.literalTo);
    if (letter !== slash) to.push(...state.anyTo);
  }
  return closure(machine, to);
}

function closure(machine: Machine, from: readonly number[]): number[] {
  const all = new Set<number>();
  const open = [...from];
  for (let index = open.pop(); index !== undefined; index = open.pop()) {
    if (all.has(index)) continue;
    all.add(index);
    open.push(...(machine.states[index]?.free ?? []));
  }
  return [...all].sort((x, y) => x - y);
}

function compile(globs: readonly (readonly GlobSegment[])[]): Machine {
  const machine: Machine = { states: [], start: globs.map(() => 0), accepting: new Set() };
  const start = globs.map((glob) => {
    const first = newState(machine);
    let at = first;
    for (const [index, segment] of glob.entries()) at = addSegment(machine, at, segment, { index, glob });
    machine.accepting.add(at);
    return first;
  });
  return { ...machine, start };
}

/** Adds one segment and the `/` that parts it from the one before. @returns the state after it */
function addSegment(
  machine: Machine,
  from: number,
  segment: GlobSegment,
  { index, glob }: { readonly index: number; readonly glob: readonly GlobSegment[] },
): number {
  const isLast = index === glob.length - 1;
  if (segment.kind === "many") return isLast ? addTail(machine, from) : addMany(machine, from, index > 0);
  const at = index > 0 && glob[index - 1]?.kind !== "many" ? addLiteral(machine, from, slash) : from;
  if (segment.kind === "literal") return addLiteral(machine, at, segment.text);
  if (segment.kind === "one") return addAny(machine, addAnyOnce(machine, at));
  const [first = "", ...rest] = segment.pieces;
  return rest.reduce(
    (state, piece) => addLiteral(machine, addAny(machine, state), piece),
    addLiteral(machine, at, first),
  );
}

/** `(/segment)*` at the end of a glob. */
function addTail(machine: Machine, from: number): number {
  const end = addAny(machine, addAnyOnce(machine, addLiteral(machine, from, slash)));
  machine.states[from]?.free.push(end);
  machine.states[end]?.free.push(from);
  return end;
}

/** `(segment/)*` before the next segment, after the `/` that ends the one before. */
function addMany(machine: Machine, from: number, afterSegment: boolean): number {
  const loop = newState(machine);
  const begin = afterSegment ? addLiteral(machine, from, slash) : from;
  machine.states[begin]?.free.push(loop);
  const back = addLiteral(machine, addAny(machine, addAnyOnce(machine, loop)), slash);
  machine.states[back]?.free.push(loop);
  return loop;
}

function addLiteral(machine: Machine, from: number, text: string): number {
  let at = from;
  for (const letter of text) {
    const next = newState(machine);
    const between = newState(machine);
    machine.states[at]?.free.push(between);
    Object.assign(machine.states[between] ?? {}, { literal: letter, literalTo: next });
    at = next;
  }
  return at;
}

function addAnyOnce(machine: Machine, from: number): number {
  const next = newState(machine);
  machine.states[from]?.anyTo.push(next);
  return next;
}

/** Any number of characters inside a segment, none included. */
function addAny(machine: Machine, from: number): number {
  const next = newState(machine);
  machine.states[from]?.free.push(next);
  machine.states[next]?.anyTo.push(next);
  return next;
}

function newState(machine: Machine): number {
  return machine.states.push({ literal: undefined, anyTo: [], literalTo: -1, free: [] }) - 1;
}
