import { isFault, type ReferenceFault } from "../reference/fault.ts";
import { readReference } from "../reference/parse.ts";
import { formatReference, type Reference } from "../reference/reference.ts";
import { mapReference, type RewriteTarget } from "../reference/rewrite.ts";
import type { ImageOutcome, LocalReference } from "./decision.ts";
import { isLocalName, retargetText } from "./local-name.ts";
import type { PullSecretReading } from "./pull-secret.ts";
import type { MatchedRule, PodRules } from "./rules.ts";
import type { AdmissionWorld, GateVerdict, LocalRegistryNames } from "./world.ts";

/** What was decided about one image reference. `explain` shows this, `mutate` acts on it. */
export type ImageDecision = {
  readonly outcome: ImageOutcome;
  /** "" where the field was absent or held no string. */
  readonly original: string;
  /** The reference that the field has afterwards. */
  readonly result: string;
  readonly reference: Reference | undefined;
  readonly fault: ReferenceFault | undefined;
  /** The rule that decided, whether or not it led to a rewrite. */
  readonly rule: MatchedRule | undefined;
  /** Where the local registry has it, or would: looked up when `present` is told. */
  readonly local: LocalReference | undefined;
  /** Undefined where it is not known, and where the local registry is not asked. */
  readonly present: boolean | undefined;
  /** `when: Always` went past a closed gate. */
  readonly pastGate: boolean;
};

/** What holds for all images of one pod. */
export type ImageContext = {
  readonly world: Pick<AdmissionWorld, "registry" | "present">;
  readonly rules: PodRules;
  /** Why references stay whatever the rules say; undefined: the rules decide. */
  readonly frozen: ImageOutcome | undefined;
  readonly secrets: Pick<PullSecretReading, "problem" | "isPassing">;
  /** Asked at most once per pod. */
  readonly gate: () => GateVerdict;
};

type Step = Partial<Omit<ImageDecision, "outcome" | "original">>;

/**
 * Decides about one value of an `image` or `reference` field. A value that cannot be read stays and costs nothing else.
 *
 * @see docs/reference.md (the order of the questions and the source of each)
 */
export function decideImage(value: unknown, context: ImageContext): ImageDecision {
  if (value === undefined || value === null || value === "") return keep("", "empty");
  if (typeof value !== "string") return keep("", "not-a-string");
  if (value === "auto") return keep(value, "placeholder");
  const reference = readReference(value);
  if (isFault(reference)) return keep(value, "unreadable", { fault: reference });
  const { registry } = context.world;
  if (registry !== undefined && isLocalName(registry, reference.registry)) {
    return decideLocal(value, reference, registry, context);
  }
  if (context.frozen !== undefined) return keep(value, context.frozen, { reference });
  if (context.rules.isResult(reference)) return keep(value, "already-rewritten", { reference });
  const rule = context.rules.find(reference);
  if (rule === undefined) return keep(value, "no-rule", { reference });
  return isLocalTarget(rule, registry)
    ? decideToLocal(value, reference, rule, context)
    : decideToRegistry(value, reference, rule);
}

/**
 * A reference that names the local registry already: at most its host changes. It does not stay for a Secret that is
 * only late: under its own name nodes could never pull it, under the other one they can as soon as the Secret is there.
 */
function decideLocal(
  original: string,
  reference: Reference,
  registry: LocalRegistryNames,
  context: ImageContext,
): ImageDecision {
  const step = { reference, ...lookUp(reference, context.world) };
  const result = retargetText(registry, reference);
  if (result === undefined) return keep(original, "at-local-registry", step);
  const { problem, isPassing } = context.secrets;
  const obstacle = context.frozen ?? obstacleOf(registry, context.gate, isPassing ? undefined : problem);
  return obstacle === undefined ? keep(original, "retargeted", { ...step, result }) : keep(original, obstacle, step);
}

/** A target that spells out a name of the local registry is held to the same conditions as `local`. */
function isLocalTarget({ target }: MatchedRule, registry: LocalRegistryNames | undefined): boolean {
  return target.kind === "local" || (registry !== undefined && isLocalName(registry, target.registry));
}

function targetOf({ target, keepHost }: MatchedRule, registry: string): RewriteTarget {
  return { registry, prefix: target.kind === "local" ? "" : target.prefix, keepHost };
}

function decideToRegistry(original: string, reference: Reference, rule: MatchedRule): ImageDecision {
  const mapped = mapReference(reference, targetOf(rule, rule.target.kind === "local" ? "" : rule.target.registry));
  if (mapped.kind !== "mapped") return keep(original, mapped.kind, { reference, rule });
  return keep(original, "rewritten", { reference, rule, result: formatReference(mapped.reference) });
}

function decideToLocal(
  original: string,
  reference: Reference,
  rule: MatchedRule,
  context: ImageContext,
): ImageDecision {
  const { registry } = context.world;
  const isAlways = rule.when === "Always";
  if (registry === undefined) return keep(original, "no-local-registry", { reference, rule });
  const mapped = mapReference(reference, targetOf(rule, registry.target));
  if (mapped.kind !== "mapped") return keep(original, mapped.kind, { reference, rule });
  const found = lookUp(mapped.reference, context.world);
  const step = { reference, rule, ...found };
  if (!isAlways && found.present !== true) {
    return keep(original, found.present === false ? "not-present" : "catalogue-unknown", step);
  }
  const obstacle = obstacleOf(registry, context.gate, context.secrets.problem);
  const pastGate = isAlways && obstacle === "node-access-closed";
  if (obstacle !== undefined && !pastGate) return keep(original, obstacle, step);
  return keep(original, "rewritten", { ...step, result: formatReference(mapped.reference), pastGate });
}

/** What stands between a pod and the local registry, whatever the image. */
function obstacleOf(
  registry: LocalRegistryNames,
  gate: ImageContext["gate"],
  secretProblem: string | undefined,
): ImageOutcome | undefined {
  if (!registry.chosen) return "node-access-undecided";
  if (secretProblem !== undefined) return "no-pull-secret";
  return gate().kind === "closed" ? "node-access-closed" : undefined;
}

/** A reference without tag and digest means `latest`, here as everywhere; nothing is added to the reference itself. */
function lookUp(
  { path, tag, digest }: Reference,
  world: ImageContext["world"],
): Pick<ImageDecision, "local" | "present"> {
  const local = { repository: path, tag: tag ?? (digest === undefined ? "latest" : undefined), digest };
  return { local, present: world.present(local.repository, local.tag, local.digest) };
}

function keep(original: string, outcome: ImageOutcome, step: Step = {}): ImageDecision {
  return {
    outcome,
    original,
    result: step.result ?? original,
    reference: step.reference,
    fault: step.fault,
    rule: step.rule,
    local: step.local,
    present: step.present,
    pastGate: step.pastGate === true,
  };
}
