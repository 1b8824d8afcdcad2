import type { Condition } from "../config/condition.ts";
import type { LocalRegistrySpec, LocalRegistryStatus } from "../config/local-registry.ts";
import type { NodesStatus } from "../node/node-status.ts";
import type { CatalogueState } from "./catalogue.ts";
import type { Finding } from "./finding.ts";
import type { RegistryEndpoints } from "./hosting-document.ts";
import type { StorageCheck } from "./storage-check.ts";

/** A condition before it is dated. */
export type ConditionFact = Pick<Condition, "type" | "status" | "reason" | "message">;

export type CatalogueReport = { readonly state: CatalogueState; readonly fault: string | undefined };

/** The Deployment, or undefined where there is none (not hosted, or not made yet). */
export type RolloutReport = {
  readonly available: number;
  readonly wanted: number;
  /** The controller has seen the newest spec, and every pod is of it; those of an older one are gone. */
  readonly isCurrent: boolean;
  /** Of the Deployment: another one is another spec of the pods. */
  readonly generation: number | undefined;
  /** What the pods wait for, e.g. `gateway: ImagePullBackOff`; empty when nothing is known. */
  readonly waiting: readonly string[];
};

/** The dry-run Pod through the webhook; see leader/webhook-check.ts. */
export type WebhookReport =
  | { readonly kind: "mutated" }
  | { readonly kind: "unmutated"; readonly reason: string; readonly message: string };

export type StatusFacts = {
  readonly spec: LocalRegistrySpec;
  readonly findings: readonly Finding[];
  readonly rollout: RolloutReport | undefined;
  /** undefined: not tried yet. */
  readonly storage: StorageCheck | undefined;
  readonly catalogue: CatalogueReport;
  readonly nodes: NodesStatus;
  readonly webhook: WebhookReport;
  readonly endpoints: RegistryEndpoints;
  /** What the registry's volume holds; undefined while unknown. */
  readonly bytesUsed: number | undefined;
};

export type StatusDecision = {
  readonly conditions: readonly ConditionFact[];
  readonly fields: Omit<LocalRegistryStatus, "conditions" | "observedGeneration">;
};

const messageLimit = 1_024;

/** The status of LocalRegistry; `Ready` is the first thing that is missing on the way of an image into a pod. */
export function decideStatus(facts: StatusFacts): StatusDecision {
  const storage = storageCondition(facts);
  const catalogue = catalogueCondition(facts.catalogue);
  const nodes = facts.nodes.condition;
  const ready = readyCondition(facts, { storage, catalogue });
  return {
    conditions: [ready, nodes, catalogue, storage].map((condition) => ({
      ...condition,
      message: condition.message.slice(0, messageLimit),
    })),
    fields: {
      endpoints: facts.endpoints,
      nodes: facts.nodes.nodes,
      // Of a registry that is not hosted here it would be said about somebody else's volume.
      ...(facts.bytesUsed === undefined || facts.spec.external !== undefined ? {} : { bytesUsed: facts.bytesUsed }),
    },
  };
}

function readyCondition(
  facts: StatusFacts,
  parts: { readonly storage: ConditionFact; readonly catalogue: ConditionFact },
): ConditionFact {
  const blocking = facts.findings.filter((finding) => finding.blocks);
  if (blocking[0] !== undefined) return condition("Ready", "False", blocking[0].reason, messagesOf(blocking));
  const rollout = facts.spec.external === undefined ? rolloutFault(facts.rollout) : undefined;
  if (rollout !== undefined) return rollout;
  if (parts.storage.status === "False") return { ...parts.storage, type: "Ready" };
  if (parts.catalogue.status !== "True") return { ...parts.catalogue, type: "Ready", status: "False" };
  // A node that fails is the gate's concern; without any mode nothing is rewritten at all.
  if (facts.nodes.nodes.mode === undefined) return { ...facts.nodes.condition, type: "Ready", status: "False" };
  if (facts.webhook.kind === "unmutated") {
    return condition("Ready", "False", facts.webhook.reason, facts.webhook.message);
  }
  const findings = [...facts.findings, ...replacement(facts.rollout)];
  const [finding] = findings;
  const serving = "images in the local registry start in opted-in namespaces";
  const message = finding === undefined ? serving : messagesOf(findings);
  return condition("Ready", "True", finding?.reason ?? "Serving", message);
}

/** Pods of the spec before this one answer meanwhile, and for ever where the new ones cannot start. */
function replacement(rollout: RolloutReport | undefined): readonly Finding[] {
  if (rollout === undefined || rollout.isCurrent) return [];
  const message = `the pods of Deployment registry are being replaced${waitingFor(rollout)}`;
  return [{ reason: "RollingOut", message, blocks: false }];
}

function waitingFor({ waiting }: RolloutReport): string {
  return waiting.length === 0 ? "" : `: ${waiting.join("; ")}`;
}

function messagesOf(findings: readonly Finding[]): string {
  return findings.map(({ message }) => message).join("; ");
}

function rolloutFault(rollout: RolloutReport | undefined): ConditionFact | undefined {
  if (rollout === undefined) return condition("Ready", "False", "NotHosted", "Deployment registry does not exist yet");
  if (rollout.available === 0) {
    const message = `no pod of Deployment registry is available${waitingFor(rollout)}`;
    return condition("Ready", "False", "RegistryUnavailable", message);
  }
  return undefined;
}

function storageCondition({ spec, storage, findings }: StatusFacts): ConditionFact {
  const type = "StorageReady";
  const blocking = findings.find((finding) => finding.blocks && finding.about === "storage");
  if (blocking !== undefined && spec.external === undefined) {
    return condition(type, "False", blocking.reason, blocking.message);
  }
  if (spec.external?.credentialSecretRef !== undefined) {
    return condition(type, "Unknown", "External", "the registry is not hosted by Slipway; its storage is not tried");
  }
  if (storage === undefined) return condition(type, "Unknown", "NotTried", "no write has been tried yet");
  if (storage.kind === "failed") return condition(type, "False", storage.reason, storage.message);
  return spec.maintenance?.readOnly === true
    ? condition(type, "True", "ReadOnly", "the last write before the read-only switch went through")
    : condition(type, "True", "Writable", "a write went through");
}

function catalogueCondition({ state, fault }: CatalogueReport): ConditionFact {
  const type = "CatalogueReady";
  const cause = fault === undefined ? "" : `: ${fault}`;
  switch (state.kind) {
    case "live":
      return condition(type, "True", "Live", "what the registry holds is known, and changes are followed");
    case "never-read":
      return condition(type, "False", "NeverRead", `the registry has not been read yet${cause}`);
    case "lost":
      return condition(type, "False", "GatewaysLost", `no gateway answers; after 30 s nothing is rewritten${cause}`);
  }
}

function condition(type: string, status: ConditionFact["status"], reason: string, message: string): ConditionFact {
  return { type, status, reason, message };
}
