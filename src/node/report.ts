import { isRecord } from "../cluster/narrow.ts";
import type { NodeAccessMode } from "../config/local-registry.ts";
import type { ModeFinding, NodeFindings, NodeReport } from "./protocol.ts";

/** In order of preference. */
export const nodeAccessModes: readonly NodeAccessMode[] = ["External", "HostsToml", "LoopbackProxy", "None"];

const messageLimit = 400;
const reasonPattern = /^[A-Z][A-Za-z0-9]{0,63}$/;
const fingerprintPattern = /^[0-9a-f]{64}$/;

export function isNodeAccessMode(value: unknown): value is NodeAccessMode {
  return (nodeAccessModes as readonly unknown[]).includes(value);
}

/**
 * Narrows the body of a poll. What an agent writes ends up in a ConfigMap, in status and in warnings, so texts are
 * cut at 400 characters and lose control characters; fields that are not known are ignored.
 *
 * @returns undefined when it is no report
 */
export function parseReport(value: unknown): NodeReport | undefined {
  if (!isRecord(value)) return undefined;
  const { protocol, seen, agentVersion } = value;
  if (typeof protocol !== "number" || typeof seen !== "string" || seen.length > 128) return undefined;
  const findings = value.findings === null ? null : parseFindings(value.findings);
  if (findings === undefined) return undefined;
  return {
    protocol,
    seen,
    agentVersion: typeof agentVersion === "string" ? clean(agentVersion).slice(0, 40) : "",
    findings,
  };
}

function parseFindings(value: unknown): NodeFindings | undefined {
  if (!isRecord(value) || !Array.isArray(value.modes)) return undefined;
  const modes = new Map<NodeAccessMode, ModeFinding>();
  for (const entry of value.modes.slice(0, 16)) {
    const finding = parseFinding(entry);
    if (finding !== undefined) modes.set(finding.mode, finding);
  }
  return {
    modes: [...modes.values()],
    trustedCas: strings(value.trustedCas).filter((text) => fingerprintPattern.test(text)),
    removed: [...new Set(strings(value.removed).filter(isNodeAccessMode))],
  };
}

function parseFinding(value: unknown): ModeFinding | undefined {
  if (!isRecord(value)) return undefined;
  const { mode, passed, reason, message } = value;
  if (!isNodeAccessMode(mode) || typeof passed !== "boolean") return undefined;
  return {
    mode,
    passed,
    reason: typeof reason === "string" && reasonPattern.test(reason) ? reason : "Unknown",
    message: typeof message === "string" ? clean(message).slice(0, messageLimit) : "",
  };
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.slice(0, 16).filter((entry) => typeof entry === "string") : [];
}

function clean(text: string): string {
  return text.replace(/\p{Cc}+/gu, " ").trim();
}
