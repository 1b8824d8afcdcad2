import type { Condition } from "../config/condition.ts";

/** A condition without the times, which whoever writes the status adds. */
export type CompiledCondition = Pick<Condition, "type" | "status" | "reason" | "message">;

/** A key that several name with different logins; the first wins wherever both apply. */
export type CredentialConflict = {
  readonly registry: string;
  /** Who has it: a source of the same PullCredential by its id, or `PullCredential <name>`. */
  readonly winner: string;
};

/** Why `Ready` is False, the gravest first. */
export const problemReasons = ["SpecInvalid", "SourceFailed", "TooLarge", "EntryInvalid", "LocalRegistryKey"] as const;

export type CredentialProblem = {
  readonly reason: (typeof problemReasons)[number];
  /** Names the source, the key and what to do; never content. */
  readonly message: string;
};

export type CredentialReport = {
  readonly name: string;
  readonly generation: number;
  /** Registry keys covered, sorted. */
  readonly registries: readonly string[];
  readonly problems: readonly CredentialProblem[];
  readonly conflicts: readonly CredentialConflict[];
  /** `Ready` and `Conflicted`. */
  readonly conditions: readonly CompiledCondition[];
};

const listedAtMost = 5;

/** Adds the conditions to what was found: one reason, the gravest, and a message that lists at most five problems. */
export function reportCredential(found: Omit<CredentialReport, "conditions">): CredentialReport {
  return { ...found, conditions: [readyCondition(found), conflictCondition(found)] };
}

function readyCondition(found: Omit<CredentialReport, "conditions">): CompiledCondition {
  const reason = problemReasons.find((candidate) => found.problems.some((problem) => problem.reason === candidate));
  if (reason === undefined) {
    const count = found.registries.length;
    const message = `${count} ${count === 1 ? "registry" : "registries"} covered`;
    return { type: "Ready", status: "True", reason: "SourcesRead", message };
  }
  const byGravity = [...found.problems].sort(
    (left, right) => problemReasons.indexOf(left.reason) - problemReasons.indexOf(right.reason),
  );
  return { type: "Ready", status: "False", reason, message: joinAtMost(byGravity.map(({ message }) => message)) };
}

function conflictCondition(found: Omit<CredentialReport, "conditions">): CompiledCondition {
  if (found.conflicts.length === 0) {
    return { type: "Conflicted", status: "False", reason: "NoConflict", message: "every registry key is named once" };
  }
  const messages = found.conflicts.map(({ registry, winner }) => `${registry}: the login of ${winner} comes first`);
  return { type: "Conflicted", status: "True", reason: "KeyTaken", message: joinAtMost(messages) };
}

function joinAtMost(messages: readonly string[]): string {
  const listed = messages.slice(0, listedAtMost).join("; ");
  return messages.length > listedAtMost ? `${listed}; and ${messages.length - listedAtMost} more` : listed;
}
