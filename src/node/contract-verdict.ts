import { createHash } from "node:crypto";
import { isRecord } from "../cluster/narrow.ts";
import type { NodeAccessMode } from "../config/local-registry.ts";
import type { NodeView } from "./node-view.ts";
import { isNodeAccessMode } from "./report.ts";

/** What one contract check found in one mode. */
export type ContractResult = {
  /** `exposed`: the pull works, and a pod of another namespace could pull the same image. */
  readonly outcome: "passed" | "failed" | "exposed";
  /** "" after one that passed. */
  readonly reason: string;
  readonly message: string;
  /** What it was found under: CA, names, mode and address, see contractKey. */
  readonly key: string;
  /** Wall clock of the end of the check. */
  readonly atMs: number;
  /** Checks in a row that did not pass. */
  readonly failures: number;
};

/** What the contract checks of one node found: a value of ConfigMap `slipway-nodes`, written by the leader alone. */
export type ContractVerdict = {
  readonly node: string;
  /** Of the Node object: a node that was made again starts anew. */
  readonly uid: string;
  /** Checks so far; handed to the agent as `lookCount`, so that it looks afresh after each. */
  readonly looks: number;
  /** Mode of the last check: a mode that comes back is checked anew. */
  readonly last: NodeAccessMode | null;
  /** A mode that failed is remembered while another one is in use, so that Auto does not go back and forth. */
  readonly modes: Readonly<Partial<Record<NodeAccessMode, ContractResult>>>;
};

const keyPrefix = "_contract.";
const messageLimit = 600;
const firstRetryMs = 60_000;
const lastRetryMs = 900_000;

/** The ConfigMap key of a node's contract verdict: no node has such a name. At most 253 characters, as keys may have. */
export function contractEntry(node: string): string {
  const short = node.length <= 240 ? node : createHash("sha256").update(node).digest("hex");
  return keyPrefix + short;
}

export function isContractEntry(key: string): boolean {
  return key.startsWith(keyPrefix);
}

/** Changes with whatever makes a new check necessary. */
export function contractKey(facts: {
  readonly mode: NodeAccessMode;
  /** Names under which the check's image is pulled. */
  readonly names: readonly string[];
  /** Fingerprints of the CAs. */
  readonly cas: readonly string[];
  /** ClusterIP, or the external URL. */
  readonly server: string;
  readonly loopback: string;
}): string {
  const { mode, names, cas, server, loopback } = facts;
  const content = [mode, names, cas.toSorted(), server, mode === "LoopbackProxy" ? loopback : ""];
  return createHash("sha256").update(JSON.stringify(content)).digest("hex").slice(0, 16);
}

/** The last result of a node in a mode. */
export function contractResult(
  node: Pick<NodeView, "name" | "uid">,
  mode: NodeAccessMode,
  contracts: ReadonlyMap<string, ContractVerdict> | undefined,
): ContractResult | undefined {
  return contractOf(node, contracts)?.modes[mode];
}

/** All results of a node, unless they are of an earlier node of the same name. */
export function contractOf(
  node: Pick<NodeView, "name" | "uid">,
  contracts: ReadonlyMap<string, ContractVerdict> | undefined,
): ContractVerdict | undefined {
  const verdict = contracts?.get(node.name);
  if (verdict === undefined) return undefined;
  return verdict.uid === "" || node.uid === "" || verdict.uid === node.uid ? verdict : undefined;
}

/** Counts a result into the verdict of its node. */
export function nextContract(
  previous: ContractVerdict | undefined,
  node: Pick<NodeView, "name" | "uid">,
  found: { readonly mode: NodeAccessMode } & Omit<ContractResult, "failures">,
): ContractVerdict {
  const known = previous?.uid === node.uid ? previous : undefined;
  const { mode, ...rest } = found;
  const failures = found.outcome === "passed" ? 0 : (known?.modes[mode]?.failures ?? 0) + 1;
  return {
    node: node.name,
    uid: node.uid,
    looks: (known?.looks ?? 0) + 1,
    last: mode,
    modes: { ...known?.modes, [mode]: { ...rest, message: rest.message.slice(0, messageLimit), failures } },
  };
}

/**
 * Milliseconds until the next check of a node: 0 for one that was never checked, or last in another mode or under
 * another key, undefined for one that passed. After one that did not pass: a minute, doubling, to a quarter of an hour.
 */
export function contractDueInMs(
  verdict: ContractVerdict | undefined,
  target: { readonly mode: NodeAccessMode; readonly key: string },
  nowMs: number,
): number | undefined {
  const result = verdict?.last === target.mode ? verdict.modes[target.mode] : undefined;
  if (result === undefined || result.key !== target.key) return 0;
  if (result.outcome === "passed") return undefined;
  const retryMs = Math.min(lastRetryMs, firstRetryMs * 2 ** Math.min(10, Math.max(0, result.failures - 1)));
  return Math.max(0, Math.min(retryMs, result.atMs + retryMs - nowMs));
}

export function formatContract(verdict: ContractVerdict): string {
  return JSON.stringify(verdict);
}

/** @returns undefined for a text that is no contract verdict: the node is then checked anew */
export function parseContract(text: string): ContractVerdict | undefined {
  const value = parseJson(text);
  if (!isRecord(value) || typeof value.node !== "string" || !isRecord(value.modes)) return undefined;
  const modes: Partial<Record<NodeAccessMode, ContractResult>> = {};
  for (const [mode, entry] of Object.entries(value.modes)) {
    const result = isNodeAccessMode(mode) ? parseResult(entry) : undefined;
    if (isNodeAccessMode(mode) && result !== undefined) modes[mode] = result;
  }
  const { node, uid, looks, last } = value;
  return { node, uid: textOf(uid), looks: countOf(looks), last: isNodeAccessMode(last) ? last : null, modes };
}

function parseResult(value: unknown): ContractResult | undefined {
  if (!isRecord(value)) return undefined;
  const { outcome } = value;
  if (outcome !== "passed" && outcome !== "failed" && outcome !== "exposed") return undefined;
  return {
    outcome,
    reason: textOf(value.reason),
    message: textOf(value.message),
    key: textOf(value.key),
    atMs: countOf(value.atMs),
    failures: countOf(value.failures),
  };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function countOf(value: unknown): number {
  return typeof value === "number" && value >= 0 ? Math.trunc(value) : 0;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Edited by hand: the node is checked anew.
    return undefined;
  }
}
