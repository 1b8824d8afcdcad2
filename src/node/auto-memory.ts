import { isRecord } from "../cluster/narrow.ts";
import type { NodeAccessMode } from "../config/local-registry.ts";
import { type AutoState, noAutoState } from "./choose.ts";
import { isNodeAccessMode } from "./report.ts";

/** The text in which Auto's memory is kept. */
export function formatAuto(state: AutoState): string {
  return JSON.stringify(state);
}

/** @returns Auto's memory, or an empty one when the text is none: Auto then chooses anew */
export function parseAuto(text: string | undefined): AutoState {
  const value = text === undefined ? undefined : parseJson(text);
  if (!isRecord(value)) return noAutoState;
  const { mode, reason, triedSinceMs, used, better } = value;
  return {
    mode: isNodeAccessMode(mode) ? mode : null,
    reason: typeof reason === "string" ? reason : "",
    triedSinceMs: isRecord(triedSinceMs) ? times(triedSinceMs) : {},
    used: Array.isArray(used) ? used.filter(isNodeAccessMode) : [],
    better: isRecord(better) ? readBetter(better) : null,
  };
}

function times(value: Readonly<Record<string, unknown>>): Partial<Record<NodeAccessMode, number>> {
  const entries = Object.entries(value).filter(([mode, ms]) => isNodeAccessMode(mode) && typeof ms === "number");
  return Object.fromEntries(entries);
}

function readBetter({ mode, sinceMs }: Readonly<Record<string, unknown>>): AutoState["better"] {
  return isNodeAccessMode(mode) && typeof sinceMs === "number" ? { mode, sinceMs } : null;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Edited by hand: Auto chooses anew.
    return undefined;
  }
}
