import type { ImageRewriteSpec } from "../config/image-rewrite.ts";
import type { RuleFinding } from "./collision.ts";
import { readRule } from "./rule.ts";

/** @see docs/reference.md; CEL on the resource says the same */
export const ruleLimit = 256;

/**
 * What is wrong with the spec of an ImageRewrite, as far as CEL at apply may have let it through. Nothing of its shape
 * is taken for granted.
 *
 * @returns one finding for each fault; `rule` 0 is about the object as a whole
 */
export function specFaults(spec: ImageRewriteSpec): RuleFinding[] {
  const { rules, when, namespaceSelector, podSelector } = Object(spec) as Partial<
    Record<keyof ImageRewriteSpec, unknown>
  >;
  if (!Array.isArray(rules)) return [{ rule: 0, reason: "spec.rules is not a list" }];
  const whole = [
    rules.length > ruleLimit ? `spec.rules has ${rules.length} rules; ${ruleLimit} are allowed` : undefined,
    when === undefined || when === "IfPresent" || when === "Always"
      ? undefined
      : "spec.when is neither IfPresent nor Always",
    selectorFault(namespaceSelector, "spec.namespaceSelector"),
    selectorFault(podSelector, "spec.podSelector"),
  ];
  const findings = whole.filter((reason) => reason !== undefined).map((reason) => ({ rule: 0, reason }));
  for (const [index, rule] of rules.slice(0, ruleLimit).entries()) {
    const reading = readRule(rule);
    if (typeof reading === "string") findings.push({ rule: index + 1, reason: reading });
  }
  return findings;
}

/** @see https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements */
function selectorFault(selector: unknown, field: string): string | undefined {
  if (selector === undefined || selector === null) return undefined;
  if (typeof selector !== "object") return `${field} is not an object`;
  const { matchLabels, matchExpressions } = selector as Record<string, unknown>;
  const labels = Object.values(Object(matchLabels ?? {}) as object);
  if (typeof (matchLabels ?? {}) !== "object" || labels.some((value) => typeof value !== "string")) {
    return `${field}.matchLabels is not a map of strings`;
  }
  if (matchExpressions === undefined || matchExpressions === null) return undefined;
  if (!Array.isArray(matchExpressions)) return `${field}.matchExpressions is not a list`;
  const wrong = matchExpressions.findIndex((requirement) => !isRequirement(requirement));
  if (wrong < 0) return undefined;
  return `${field}.matchExpressions[${wrong}] is none: a key, one of In, NotIn (with values), Exists, DoesNotExist (without)`;
}

function isRequirement(value: unknown): boolean {
  const { key, operator, values } = Object(value) as Record<string, unknown>;
  if (typeof key !== "string" || key === "") return false;
  const list = Array.isArray(values) && values.every((entry) => typeof entry === "string") ? values : [];
  if (operator === "In" || operator === "NotIn") return list.length > 0;
  return (operator === "Exists" || operator === "DoesNotExist") && list.length === 0;
}
