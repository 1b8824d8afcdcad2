import { isRecord } from "../cluster/narrow.ts";
import type { NodeAccessMode } from "../config/local-registry.ts";
import type { ModeFinding, NodeFindings } from "./protocol.ts";
import { isNodeAccessMode } from "./report.ts";

/** So many failed checks in a row close the gate for a node. */
export const failuresToClose = 3;
/** Failed checks count when they are at least so far apart: quick looks of an agent that waits for the registry are one. */
export const failureSpacingMs = 15_000;

/** What is known of one mode on one node. */
export type ModeVerdict = {
  /** It has passed, and has not failed three times in a row since. */
  readonly passing: boolean;
  /** Failed checks in a row, at most `failuresToClose`. */
  readonly failures: number;
  /** Of the last failed check; "" after one that passed. */
  readonly reason: string;
  readonly message: string;
  /** Wall clock of the last failed check that counted; 0 after one that passed. */
  readonly failedAtMs: number;
};

/** What serve knows of one node: a value of ConfigMap `slipway-nodes`, the same for every replica. */
export type NodeVerdict = {
  /** Of the Node object: a node that was made again starts anew. "" where the token did not say. */
  readonly uid: string;
  readonly modes: Readonly<Partial<Record<NodeAccessMode, ModeVerdict>>>;
  /** The first 16 hex digits of the fingerprints of the CAs in use there; see `verdictTrusts`. */
  readonly cas: readonly string[];
  /** Modes of which nothing is left there, as ordered. */
  readonly removed: readonly NodeAccessMode[];
};

/**
 * Counts a report into the verdict of its node. Modes that the report does not name are forgotten: they are not
 * ordered any more.
 *
 * @param previous undefined, or of another uid: the first report of this node
 */
export function nextVerdict(
  previous: NodeVerdict | undefined,
  report: { readonly uid: string; readonly findings: NodeFindings },
  nowMs: number,
): NodeVerdict {
  const known = previous?.uid === report.uid ? previous.modes : {};
  const modes: Partial<Record<NodeAccessMode, ModeVerdict>> = {};
  for (const finding of report.findings.modes) modes[finding.mode] = nextMode(known[finding.mode], finding, nowMs);
  return {
    uid: report.uid,
    modes,
    cas: report.findings.trustedCas.map(shortFingerprint).toSorted(),
    removed: (report.findings.removed ?? []).toSorted(),
  };
}

function nextMode(previous: ModeVerdict | undefined, finding: ModeFinding, nowMs: number): ModeVerdict {
  if (finding.passed) return { passing: true, failures: 0, reason: "", message: "", failedAtMs: 0 };
  const { reason, message } = finding;
  const before = previous ?? { passing: false, failures: 0, failedAtMs: 0 };
  const counts = before.failures < failuresToClose && Math.abs(nowMs - before.failedAtMs) >= failureSpacingMs;
  const failures = counts ? before.failures + 1 : before.failures;
  const said = previous !== undefined && previous.reason === reason ? previous : { reason, message };
  return {
    passing: before.passing && failures < failuresToClose,
    failures,
    reason: said.reason,
    message: said.message,
    failedAtMs: counts ? nowMs : before.failedAtMs,
  };
}

/** Whether the node has this CA (fingerprint: SHA-256, hex) in use. */
export function verdictTrusts(verdict: NodeVerdict, fingerprint: string): boolean {
  return verdict.cas.includes(shortFingerprint(fingerprint));
}

function shortFingerprint(fingerprint: string): string {
  return fingerprint.slice(0, 16);
}

/** The text kept in the ConfigMap: canonical, so that equal verdicts are equal texts. */
export function formatVerdict(verdict: NodeVerdict): string {
  const modes = Object.entries(verdict.modes)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([mode, entry]) => [mode, entry.failures === 0 ? { passing: entry.passing } : entry]);
  return JSON.stringify({ ...verdict, modes: Object.fromEntries(modes) });
}

/** @returns undefined for a text that is no verdict; unknown fields and modes are ignored */
export function parseVerdict(text: string): NodeVerdict | undefined {
  const value = parseJson(text);
  if (!isRecord(value) || !isRecord(value.modes)) return undefined;
  const modes: Partial<Record<NodeAccessMode, ModeVerdict>> = {};
  for (const [mode, entry] of Object.entries(value.modes)) {
    if (isNodeAccessMode(mode) && isRecord(entry)) modes[mode] = parseMode(entry);
  }
  return {
    uid: typeof value.uid === "string" ? value.uid : "",
    modes,
    cas: strings(value.cas),
    removed: strings(value.removed).filter(isNodeAccessMode),
  };
}

function parseMode(entry: Readonly<Record<string, unknown>>): ModeVerdict {
  const { passing, failures, reason, message, failedAtMs } = entry;
  return {
    passing: passing === true,
    failures: typeof failures === "number" ? Math.min(failuresToClose, Math.max(0, Math.trunc(failures))) : 0,
    reason: typeof reason === "string" ? reason : "",
    message: typeof message === "string" ? message : "",
    failedAtMs: typeof failedAtMs === "number" ? failedAtMs : 0,
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A value that somebody edited by hand: the node's next report replaces it.
    return undefined;
  }
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === "string") : [];
}
