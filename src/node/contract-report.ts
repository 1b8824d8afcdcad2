import type { ContractFinding } from "./contract-run.ts";

/** One line of `slipway contract`. */
export type ContractRow = {
  readonly node: string;
  readonly result: "passed" | "failed" | "exposed" | "undecided";
  /** "" after one that passed. */
  readonly reason: string;
  readonly message: string;
};

/** Nothing is known of a node whose pod came to no pull: that is no pass either. */
export function contractRow(node: string, finding: ContractFinding): ContractRow {
  const reason = "reason" in finding ? finding.reason : finding.kind === "undecided" ? "NotTried" : "";
  return { node, result: finding.kind, reason, message: finding.message };
}

/** The last line: what holds, and where it does not. */
export function contractSummary(image: string, rows: readonly ContractRow[]): string {
  const passed = rows.filter(({ result }) => result === "passed").length;
  if (rows.length === 0) return `no node to check ${image} on`;
  if (passed === rows.length) return `the contract holds for ${image}: pods push and all ${passed} nodes pull`;
  const others = rows.filter(({ result }) => result !== "passed").map(({ node }) => node);
  return `the contract does not hold for ${image}: ${passed} of ${rows.length} nodes passed, not ${others.join(", ")}`;
}
