import type { NodeAccessMode } from "../config/local-registry.ts";
import type { ModeFinding, OrderedRegistry } from "./protocol.ts";
import type { ProbeTarget } from "./registry-probe.ts";

/** What a strategy is told: the registry, and how this node's runtime calls itself. */
export type StrategyOrder = {
  readonly registry: OrderedRegistry;
  /** `containerd`, `cri-o`; null where serve does not know it. */
  readonly runtimeName: string | null;
  readonly runtimeVersion: string | null;
};

export type StrategyCheck = {
  readonly finding: ModeFinding;
  /** Fingerprints (SHA-256, lower-case hex) of the CAs that this mode uses on this node as found; empty for none. */
  readonly trustedCas: readonly string[];
  /** Whether this mode depends on our CA being on the node at all. */
  readonly usesCa: boolean;
  /** Where the runtime connects to in this mode, and by which trust; absent where there is nothing to connect to. */
  readonly target?: ProbeTarget;
};

export type StrategyRemoval =
  | { readonly kind: "removed" }
  /** Something of ours could not be removed; `message` names it and says why. */
  | { readonly kind: "left"; readonly message: string };

/**
 * One way for a node's container runtime to reach the registry. `test/contract/node-access.ts` is what every
 * implementation passes: applying twice changes nothing, removing leaves the node as it was found, none of the
 * three rejects but by the signal's reason, and a fault of the node is a finding.
 */
export type Strategy = {
  readonly mode: NodeAccessMode;
  /** Remembers the order and brings the node to it. What could not be done shows in `check`. */
  apply(order: StrategyOrder, signal: AbortSignal): Promise<void>;
  /** Heals what differs from the last order, then looks as the runtime would. */
  check(signal: AbortSignal): Promise<StrategyCheck>;
  /** Forgets the order and removes what is ours, nothing else. */
  remove(signal: AbortSignal): Promise<StrategyRemoval>;
  /** Ends what runs in this process and leaves the node's files, as a plain stop of the agent does. */
  readonly close?: () => Promise<void>;
};

/** The finding of a mode that passed. */
export function passedFinding(mode: NodeAccessMode, message: string): ModeFinding {
  return { mode, passed: true, reason: "Passed", message };
}

/** The finding of a mode that did not pass. */
export function failedFinding(mode: NodeAccessMode, failure: Failure): ModeFinding {
  return { mode, passed: false, reason: failure.reason, message: failure.message };
}

/** Why something does not work: one stable word, and a sentence that says what was found and what to do. */
export type Failure = { readonly reason: string; readonly message: string };
