import type { CompiledRewrite } from "../config/compiled.ts";
import type { ImageRewriteSpec } from "../config/image-rewrite.ts";
import { sameRegistry } from "../reference/host.ts";
import { receiverOf } from "./receiver.ts";
import { createReceiverIndex, type ReceiverIndex } from "./receiver-index.ts";
import { specFaults } from "./rewrite-spec.ts";
import { type Rule, readRule } from "./rule.ts";

export type RewriteObject = { readonly name: string; readonly spec: ImageRewriteSpec };

/** What the status of one ImageRewrite says. */
export type RewriteFindings = {
  readonly name: string;
  /** The place of the object in the order of evaluation, from 1. */
  readonly order: number;
  /** Why the object as it is now takes no part: its last good version does, where there is one. */
  readonly invalid: readonly RuleFinding[];
  /** Rules of the version in force that are switched off. */
  readonly inactive: readonly RuleFinding[];
  /** Which version is in force. */
  readonly inForce: "this" | "last-good" | "none";
  readonly active: number;
  readonly total: number;
};

/** `rule` counts from 1, as in `name#1`; 0 is the object as a whole. */
export type RuleFinding = { readonly rule: number; readonly reason: string };

export type RewriteAnalysis = {
  /** In order of evaluation, by name: what compileRules takes. */
  readonly rewrites: readonly CompiledRewrite[];
  /** One for each object, in the same order. */
  readonly findings: readonly RewriteFindings[];
};

/**
 * Decides which rules of all ImageRewrite objects take part. An invalid object stands aside for its last good version.
 * A rule that would let two origins end at one reference, with itself or with an earlier active rule of any object, is
 * inactive: whatever their selectors say, only one image can be stored under a name.
 *
 * @param objects as they are now, in any order
 * @param known `lastGood`: the rewrites in force before, from the compiled Secret; `localNames`: the names of the local
 *   registry, so that a target that spells one out is held against the rules to `local`
 */
export function analyseRewrites(
  objects: readonly RewriteObject[],
  known: { readonly lastGood?: readonly CompiledRewrite[]; readonly localNames?: readonly string[] } = {},
): RewriteAnalysis {
  const receivers = createReceiverIndex();
  const lastGood = new Map((known.lastGood ?? []).map((rewrite) => [rewrite.name, rewrite.spec]));
  const rewrites: CompiledRewrite[] = [];
  const findings: RewriteFindings[] = [];
  const sorted = [...objects].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const [index, { name, spec }] of sorted.entries()) {
    const invalid = specFaults(spec);
    const version = versionInForce(spec, invalid.length === 0, lastGood.get(name));
    const inactive = version.spec === undefined ? [] : inactiveRules(name, version.spec, { receivers, ...known });
    const total = version.spec?.rules.length ?? 0;
    if (version.spec !== undefined) {
      rewrites.push({ name, spec: version.spec, inactive: inactive.map(({ rule }) => rule - 1) });
    }
    const { inForce } = version;
    findings.push({ name, order: index + 1, invalid, inactive, inForce, active: total - inactive.length, total });
  }
  return { rewrites, findings };
}

type Version = { readonly inForce: RewriteFindings["inForce"]; readonly spec: ImageRewriteSpec | undefined };

function versionInForce(spec: ImageRewriteSpec, isValid: boolean, previous: ImageRewriteSpec | undefined): Version {
  if (isValid) return { inForce: "this", spec };
  const isUsable = previous !== undefined && specFaults(previous).length === 0;
  return isUsable ? { inForce: "last-good", spec: previous } : { inForce: "none", spec: undefined };
}

type Surroundings = { readonly receivers: ReceiverIndex; readonly localNames?: readonly string[] };

/** Active rules are added to the receivers on the way. */
function inactiveRules(name: string, spec: ImageRewriteSpec, around: Surroundings): RuleFinding[] {
  const inactive: RuleFinding[] = [];
  for (const [index, text] of spec.rules.entries()) {
    const rule = readRule(text);
    const reason = typeof rule === "string" ? rule : collisionOf(rule, `${name}#${index + 1}`, around);
    if (reason !== undefined) inactive.push({ rule: index + 1, reason });
  }
  return inactive;
}

function collisionOf(rule: Rule, label: string, { receivers, localNames = [] }: Surroundings): string | undefined {
  const { target } = rule;
  const at = target.kind === "local" ? { registry: local, prefix: "" } : target;
  const isLocal = localNames.some((known) => sameRegistry(known, at.registry));
  const registry = isLocal ? local : at.registry.toLowerCase();
  const receiver = receiverOf(rule, { label, registry, prefix: at.prefix });
  if (typeof receiver === "string") return receiver;
  const other = receivers.findCollision(receiver);
  if (other !== undefined) {
    return `another origin would end at the same reference by rule ${other.label}, which comes first`;
  }
  receivers.add(receiver);
  return undefined;
}

/** No registry has this name: a target's host has a dot or a port, or is `localhost`. */
const local = "local";
