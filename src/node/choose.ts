import type { NodeAccessMode } from "../config/local-registry.ts";
import { contractResult } from "./contract-verdict.ts";
import type { NodeView } from "./node-view.ts";
import { graceMs, type NodesNow, readyFor, standingOf, verdictOf } from "./standing.ts";
import { failuresToClose, type ModeVerdict } from "./verdict.ts";

/** A better mode has to pass on all nodes for so long, without a break, before Auto moves to it. */
export const betterForMs = 600_000;

/** In the order in which Auto prefers them; None is what is left. */
const order: readonly NodeAccessMode[] = ["External", "HostsToml", "LoopbackProxy"];

/** What Auto remembers. The leader keeps it (ConfigMap `slipway-nodes`, key `_auto`), so that it survives a restart. */
export type AutoState = {
  /** null until the first choice. */
  readonly mode: NodeAccessMode | null;
  /** Why, for people. */
  readonly reason: string;
  /** Modes that nodes try, and since when; LoopbackProxy joins when HostsToml fails somewhere. */
  readonly triedSinceMs: Readonly<Partial<Record<NodeAccessMode, number>>>;
  /** Modes that were ever chosen: pods may carry references of theirs, so they are served on. */
  readonly used: readonly NodeAccessMode[];
  /** A better mode that passes on all nodes, and since when. */
  readonly better: { readonly mode: NodeAccessMode; readonly sinceMs: number } | null;
};

export const noAutoState: AutoState = { mode: null, reason: "", triedSinceMs: {}, used: [], better: null };

/** Reasons that do not pass by waiting: one failed check is enough to prefer another mode at the first choice. */
const lastingReasons: ReadonlySet<string> = new Set([
  "ConfigPathElsewhere",
  "ConfigPathList",
  "ConfigPathUnset",
  "ForeignFile",
  "NameUnknown",
  "OrderRefused",
  "PortTaken",
  "ReadOnly",
  "RuntimeUnsupported",
]);

/**
 * Auto's choice of one mode for the whole cluster: the first that passes on all nodes, nodes that pass in no mode
 * left out (the gate deals with them), in the order External, HostsToml, LoopbackProxy, None.
 *
 * It does not flap. A mode in use is left only when a node that passes in another one has failed three checks in it
 * (or was Ready for two minutes without passing) and another mode passes everywhere; for a mode that comes earlier
 * in the order only after that one passed everywhere for ten minutes. Pending nodes change nothing, and neither
 * does an outage, in which every mode fails.
 */
export function chooseMode(previous: AutoState, world: NodesNow): AutoState {
  const state = withTried(previous, world.nowMs, ["External", "HostsToml"]);
  const nodes = world.nodes.filter(isConsidered);
  const tried = withLoopback(state, nodes, world);
  const fits = new Map(order.map((mode) => [mode, fitOf(mode, tried, { nodes, world })] as const));
  return tried.mode === null ? firstChoice(tried, fits) : laterChoice(tried, fits, world.nowMs);
}

/** Nodes that are not Ready run nothing new, and the agent runs on Linux only. */
function isConsidered(node: NodeView): boolean {
  return node.readySinceMs !== undefined && node.labels["kubernetes.io/os"] !== "windows";
}

function withTried(state: AutoState, nowMs: number, modes: readonly NodeAccessMode[]): AutoState {
  const added = modes.filter((mode) => state.triedSinceMs[mode] === undefined);
  if (added.length === 0) return state;
  const since = Object.fromEntries(added.map((mode) => [mode, nowMs]));
  return { ...state, triedSinceMs: { ...state.triedSinceMs, ...since } };
}

/** The loopback proxy listens on nodes only where it is needed: once HostsToml fails on one of them. */
function withLoopback(state: AutoState, nodes: readonly NodeView[], world: NodesNow): AutoState {
  const reporting = nodes.filter((node) => verdictOf(node, world.verdicts) !== undefined);
  const needed = reporting.some((node) => standsIn("HostsToml", node, { state, world }) === "fails");
  if (needed) return withTried(state, world.nowMs, ["LoopbackProxy"]);
  if (state.mode !== "HostsToml" || state.used.includes("LoopbackProxy")) return state;
  const { LoopbackProxy: _, ...triedSinceMs } = state.triedSinceMs;
  return { ...state, triedSinceMs };
}

type Standing = "passes" | "fails" | "waits";

function standsIn(
  mode: NodeAccessMode,
  node: NodeView,
  { state, world }: { readonly state: AutoState; readonly world: NodesNow },
): Standing {
  const triedSinceMs = state.triedSinceMs[mode];
  const verdict = verdictOf(node, world.verdicts);
  const entry = verdict?.modes[mode];
  if (entry?.passing === true) {
    return contractResult(node, mode, world.contracts)?.outcome === "failed" ? "fails" : "passes";
  }
  if (entry !== undefined && hasFailed(entry)) return "fails";
  // Without an agent no mode will pass: the node is left out as one that passes in none.
  if (verdict === undefined) return readyFor(node, world) >= graceMs ? "fails" : "waits";
  if (triedSinceMs === undefined) return "waits";
  const triedForMs = Math.min(readyFor(node, world), world.nowMs - triedSinceMs);
  return triedForMs >= graceMs ? "fails" : "waits";
}

function hasFailed(entry: ModeVerdict): boolean {
  return entry.failures >= failuresToClose || (entry.failures > 0 && lastingReasons.has(entry.reason));
}

/** A node on which a mode does not pass, and why. */
type Said = { readonly name: string; readonly reason: string; readonly message: string };

type Fit =
  | { readonly kind: "fits"; readonly passing: number; readonly failing: readonly string[] }
  | { readonly kind: "waits" | "fails"; readonly nodes: readonly Said[] }
  /** No node passes in any mode: nothing can be concluded. */
  | { readonly kind: "nothing" };

function fitOf(
  mode: NodeAccessMode,
  state: AutoState,
  { nodes, world }: { readonly nodes: readonly NodeView[]; readonly world: NodesNow },
): Fit {
  const standing = (node: NodeView, of: NodeAccessMode) => standsIn(of, node, { state, world });
  const hopeless = nodes.filter((node) => order.every((of) => standing(node, of) === "fails"));
  const rest = nodes.filter((node) => !hopeless.includes(node));
  const named = (kind: Standing) =>
    rest.filter((node) => standing(node, mode) === kind).map((node) => said(node, mode, world));
  const failing = named("fails");
  const waiting = named("waits");
  if (failing.length > 0) return { kind: "fails", nodes: failing };
  if (waiting.length > 0) return { kind: "waits", nodes: waiting };
  if (rest.length === 0) return { kind: "nothing" };
  return { kind: "fits", passing: rest.length, failing: hopeless.map((node) => node.name) };
}

function said(node: NodeView, mode: NodeAccessMode, world: NodesNow): Said {
  const standing = standingOf(node, mode, world);
  return standing.kind === "passing" ? { name: node.name, reason: "", message: "" } : { ...standing, name: node.name };
}

function firstChoice(state: AutoState, fits: ReadonlyMap<NodeAccessMode, Fit>): AutoState {
  const open = [...fits].find(([, fit]) => fit.kind !== "fails");
  if (open === undefined) return choose(state, "None", noneReason(fits));
  const [mode, fit] = open;
  if (fit.kind === "fits") return choose(state, mode, fitReason(mode, fit, fits));
  const reason =
    fit.kind === "waits" ? `waiting for ${mode} on ${listReasons(fit.nodes)}` : "no node passes in any mode so far";
  return { ...state, reason, better: null };
}

function laterChoice(state: AutoState, fits: ReadonlyMap<NodeAccessMode, Fit>, nowMs: number): AutoState {
  const fitting = [...fits].find(([, fit]) => fit.kind === "fits");
  const current = state.mode === null ? undefined : fits.get(state.mode);
  if (fitting === undefined || fitting[1].kind !== "fits") return { ...state, better: null };
  const [mode, fit] = fitting;
  const reason = fitReason(mode, fit, fits);
  if (mode === state.mode) return choose(state, mode, reason);
  // From None there is nothing to lose, and from a mode that fails somewhere the pods there gain.
  if (state.mode === "None" || current?.kind === "fails") return choose(state, mode, reason);
  if (!comesBefore(mode, state.mode)) return { ...state, better: null };
  const sinceMs = state.better?.mode === mode ? state.better.sinceMs : nowMs;
  if (nowMs - sinceMs >= betterForMs) return choose(state, mode, reason);
  return { ...state, better: { mode, sinceMs } };
}

function comesBefore(mode: NodeAccessMode, other: NodeAccessMode | null): boolean {
  const position = (of: NodeAccessMode | null) => (of === null ? -1 : order.indexOf(of));
  return position(mode) < position(other);
}

function choose(state: AutoState, mode: NodeAccessMode, reason: string): AutoState {
  const used = mode === "None" || state.used.includes(mode) ? state.used : [...state.used, mode];
  return { ...state, mode, reason, used, better: null };
}

function fitReason(mode: NodeAccessMode, fit: Fit & { kind: "fits" }, fits: ReadonlyMap<NodeAccessMode, Fit>): string {
  const earlier = [...fits].filter(([of]) => comesBefore(of, mode)).flatMap(([of, other]) => describe(of, other));
  const left = fit.failing.length === 0 ? [] : [`no mode passes on ${listNames(fit.failing)}`];
  const nodes = fit.passing === 1 ? "the one node that passes" : `all ${fit.passing} nodes that pass`;
  return [`${mode} passes on ${nodes} in some mode`, ...earlier, ...left].join("; ");
}

function describe(mode: NodeAccessMode, fit: Fit): readonly string[] {
  return fit.kind === "fails" || fit.kind === "waits" ? [`${mode} does not on ${listReasons(fit.nodes)}`] : [];
}

function noneReason(fits: ReadonlyMap<NodeAccessMode, Fit>): string {
  return ["no mode passes on all nodes", ...[...fits].flatMap(([mode, fit]) => describe(mode, fit))].join("; ");
}

/** Nodes by what they lack: at most three reasons, each in the words of its first node. */
function listReasons(nodes: readonly Said[]): string {
  const groups = [...Map.groupBy(nodes, ({ reason }) => reason)].map(([reason, group]) => {
    const names = listNames(group.map(({ name }) => name));
    const words = [reason, group[0]?.message ?? ""].filter((text) => text !== "").join(": ");
    return words === "" ? names : `${names} (${words})`;
  });
  const more = groups.length > 3 ? [`and for ${groups.length - 3} more reasons`] : [];
  return [...groups.slice(0, 3), ...more].join(", ");
}

/** At most three names, and how many more. */
function listNames(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(", ");
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}
