import type { LocalRegistryStatus, NodeAccessMode } from "../config/local-registry.ts";
import { type ContractVerdict, contractResult } from "./contract-verdict.ts";
import type { NodeView } from "./node-view.ts";
import { verdictOf } from "./standing.ts";
import { failuresToClose, type NodeVerdict } from "./verdict.ts";

/** One line of `slipway nodes`. */
export type NodeRow = {
  readonly node: string;
  readonly mode: NodeAccessMode | "";
  readonly passed: "yes" | "no" | "pending";
  /** How the last contract check ended; "none" before the first. */
  readonly contract: "passed" | "failed" | "exposed" | "none";
  /** "" where all is well. */
  readonly reason: string;
  readonly message: string;
};

/** What a user can read without asking serve. */
export type NodesReading = {
  readonly nodes: readonly NodeView[];
  readonly status: LocalRegistryStatus["nodes"];
  readonly verdicts: ReadonlyMap<string, NodeVerdict>;
  readonly contracts: ReadonlyMap<string, ContractVerdict>;
};

/**
 * The table of `slipway nodes`: the mode in force on each node and whether it passes there, from what agents reported
 * and contract checks found; a node that status calls failing does, since time alone can make it so.
 */
export function nodeRows({ nodes, status, verdicts, contracts }: NodesReading): readonly NodeRow[] {
  const mode = status?.mode;
  const said = new Map((status?.failing ?? []).map(({ name, reason }) => [name, reason]));
  return nodes
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((node) => rowOf(node, { mode, said, verdicts, contracts }));
}

function rowOf(
  node: NodeView,
  known: Pick<NodesReading, "verdicts" | "contracts"> & {
    readonly mode: NodeAccessMode | undefined;
    readonly said: ReadonlyMap<string, string>;
  },
): NodeRow {
  const { mode } = known;
  const row = { node: node.name, mode: mode ?? "", contract: "none", reason: "", message: "" } as const;
  if (node.labels["kubernetes.io/os"] === "windows") return { ...row, passed: "no", reason: "Windows" };
  if (mode === undefined) return { ...row, passed: "pending", reason: "NotChosen" };
  const result = contractResult(node, mode, known.contracts);
  const contract = result?.outcome ?? "none";
  if (result !== undefined && result.outcome !== "passed") {
    return { ...row, contract, passed: "no", reason: result.reason, message: result.message };
  }
  const entry = verdictOf(node, known.verdicts)?.modes[mode];
  const isSaidToFail = known.said.has(node.name);
  if (entry?.passing === true && !isSaidToFail) return { ...row, contract, passed: "yes" };
  const hasFailed = isSaidToFail || (entry !== undefined && entry.failures >= failuresToClose);
  const [reason = "", message = ""] = /^(\w+): (.*)$/s.exec(known.said.get(node.name) ?? "")?.slice(1) ?? [];
  return {
    ...row,
    contract,
    passed: hasFailed ? "no" : "pending",
    reason: entry?.reason || reason || "NoReport",
    message: entry?.message || message || "the node agent has not reported yet",
  };
}
