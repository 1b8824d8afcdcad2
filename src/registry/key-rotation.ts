import type { CompiledRegistry, RegistryKey } from "../config/compiled.ts";

/** How far a rotation of the registry's key is; kept as an annotation, so that a new leader and the command see it. */
export type KeyRotation = {
  /** The value of the annotation that asked for it. */
  readonly request: string;
  readonly phase: KeyRotationPhase;
  /** The newest generation. */
  readonly generation: number;
  /** Served namespaces whose Secrets hold a login of the newest generation, of all. */
  readonly synced: number;
  readonly total: number;
  /** At most 20 namespaces that cannot be written and still hold a login of the previous generation. */
  readonly failing: readonly { readonly name: string; readonly reason: string }[];
};

export type KeyRotationPhase =
  /** The new generation is written; not every gateway accepts it yet, so nobody gets it. */
  | "accepting"
  /** Namespaces are brought to it. */
  | "spreading"
  /** All are on it; the previous one stays a little, for who has read a Secret just before. */
  | "settling"
  /** Only the new generation is accepted. */
  | "done";

export type KeyRotationFacts = {
  /** Newest first, as in Secret `slipway-registry-keys`. */
  readonly keys: readonly RegistryKey[];
  /** The value of the annotation that asks for a rotation; "" without one. */
  readonly requested: string;
  readonly recorded: KeyRotation | undefined;
  readonly registry: CompiledRegistry | null;
  readonly spread: Pick<KeyRotation, "synced" | "total" | "failing">;
  /** How long all namespaces have been on the newest generation, milliseconds; undefined while they are not. */
  readonly settledForMs: number | undefined;
  readonly graceMs: number;
};

export type KeyRotationStep =
  | { readonly kind: "idle" }
  /** A new generation in front. */
  | { readonly kind: "begin"; readonly request: string }
  | { readonly kind: "wait"; readonly phase: Exclude<KeyRotationPhase, "done"> }
  /** Only the newest generation stays. */
  | { readonly kind: "finish" };

/**
 * What comes next. One rotation at a time: a request that comes while one is under way is honoured after it, since a
 * third generation would take away one that namespaces still hold.
 */
export function decideKeyRotation(facts: KeyRotationFacts): KeyRotationStep {
  const { keys, requested, recorded, registry } = facts;
  const [newest, previous] = keys;
  if (newest === undefined) return { kind: "idle" };
  if (previous === undefined) {
    const isNew = requested !== "" && requested !== recorded?.request;
    if (isNew) return { kind: "begin", request: requested };
    return recorded === undefined || recorded.phase === "done" ? { kind: "idle" } : { kind: "finish" };
  }
  if (!isHandedOut(newest, registry)) return { kind: "wait", phase: "accepting" };
  const { settledForMs } = facts;
  if (settledForMs === undefined) return { kind: "wait", phase: "spreading" };
  return settledForMs < facts.graceMs ? { kind: "wait", phase: "settling" } : { kind: "finish" };
}

/** Whether logins are derived from this generation by now; so too where nobody has a login of the registry at all. */
export function isHandedOut(newest: RegistryKey, registry: CompiledRegistry | null): boolean {
  if (registry === null || registry.login.kind === "fixed") return true;
  return registry.login.key.generation === newest.generation;
}

/** @returns undefined for anything but what this version or the one before it wrote */
export function parseKeyRotation(text: string | undefined): KeyRotation | undefined {
  try {
    const value: unknown = JSON.parse(text ?? "null");
    return isKeyRotation(value) ? value : undefined;
  } catch {
    return undefined; // somebody edited the annotation; the next step writes it anew
  }
}

const phases: readonly unknown[] = ["accepting", "spreading", "settling", "done"] satisfies KeyRotationPhase[];

function isKeyRotation(value: unknown): value is KeyRotation {
  if (typeof value !== "object" || value === null) return false;
  const { request, phase, generation, synced, total, failing } = value as Record<string, unknown>;
  const areNumbers = [generation, synced, total].every((number) => typeof number === "number");
  return typeof request === "string" && phases.includes(phase) && areNumbers && Array.isArray(failing);
}
