import type { PodPlacement } from "../admission/world.ts";
import { isRecord } from "../cluster/narrow.ts";
import { requirementHolds } from "../config/selector.ts";
import type { NodeTaint, NodeView } from "./node-view.ts";

type Requirement = { readonly key: string; readonly operator: string; readonly values: readonly string[] };

/**
 * Whether a pod may land on a node, as far as the pod itself says: nodeName, nodeSelector, required node affinity,
 * and taints that it does not tolerate. What cannot be read does not exclude a node.
 *
 * @see https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/
 * @see https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
 */
export function mayLandOn(placement: PodPlacement, node: NodeView): boolean {
  if (placement.nodeName !== undefined && placement.nodeName !== "") return placement.nodeName === node.name;
  return (
    Object.entries(placement.nodeSelector).every(([key, value]) => node.labels[key] === value) &&
    affinityAllows(placement.requiredNodeAffinity, node) &&
    repellingTaints(node).every((taint) => placement.tolerations.some((toleration) => tolerates(toleration, taint)))
  );
}

/** The scheduler treats a cordoned node as tainted, whether the controller has come round to it or not. */
function repellingTaints(node: NodeView): readonly NodeTaint[] {
  const cordon = { key: "node.kubernetes.io/unschedulable", value: "", effect: "NoSchedule" };
  const taints = node.unschedulable ? [...node.taints, cordon] : node.taints;
  return taints.filter((taint) => taint.effect === "NoSchedule" || taint.effect === "NoExecute");
}

function tolerates(value: unknown, taint: NodeTaint): boolean {
  if (!isRecord(value)) return false;
  const { key = "", operator = "Equal", value: wanted = "", effect = "" } = value;
  if (effect !== "" && effect !== taint.effect) return false;
  if (key === "") return operator === "Exists";
  if (key !== taint.key) return false;
  return operator === "Exists" || wanted === taint.value;
}

/** Terms are alternatives; a list without any matches no node, and neither does a term without any requirement. */
function affinityAllows(value: unknown, node: NodeView): boolean {
  if (value === undefined || value === null) return true;
  if (!isRecord(value) || !Array.isArray(value.nodeSelectorTerms)) return true;
  return value.nodeSelectorTerms.some((term) => termAllows(term, node));
}

function termAllows(value: unknown, node: NodeView): boolean {
  if (!isRecord(value)) return true;
  const expressions = readRequirements(value.matchExpressions);
  const fields = readRequirements(value.matchFields);
  if (expressions.length + fields.length === 0) return false;
  return (
    expressions.every((requirement) => requirementAllows(requirement, node.labels)) &&
    fields.every((requirement) => requirementAllows(requirement, { "metadata.name": node.name }))
  );
}

function readRequirements(value: unknown): readonly Requirement[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isRecord).map(({ key, operator, values }) => ({
    key: typeof key === "string" ? key : "",
    operator: typeof operator === "string" ? operator : "",
    values: Array.isArray(values) ? values.filter((entry) => typeof entry === "string") : [],
  }));
}

function requirementAllows(requirement: Requirement, labels: Readonly<Record<string, string>>): boolean {
  const { key, operator, values } = requirement;
  switch (operator) {
    case "In":
    case "NotIn":
    case "Exists":
    case "DoesNotExist":
      return requirementHolds({ key, operator, values }, labels);
    case "Gt":
    case "Lt":
      return compares(requirement, Object.hasOwn(labels, key) ? labels[key] : undefined);
    default:
      return true;
  }
}

function compares(requirement: Requirement, value: string | undefined): boolean {
  const limit = requirement.values[0];
  if (value === undefined || limit === undefined || !/^-?\d+$/.test(value) || !/^-?\d+$/.test(limit)) return false;
  return requirement.operator === "Gt" ? BigInt(value) > BigInt(limit) : BigInt(value) < BigInt(limit);
}
