import type { Registry } from "prom-client";
import type { RewriteFindings, RuleFinding } from "../admission/collision.ts";
import type { Clock, Random } from "../clock.ts";
import type { Component } from "../cluster/component.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { createQueue } from "../cluster/queue.ts";
import { resources } from "../cluster/resource.ts";
import type { ObservedStore } from "../cluster/store.ts";
import type { PullCredentialStatus } from "../config/pull-credential.ts";
import type { Log } from "../log.ts";
import type { SyncProgress } from "../namespace/progress.ts";
import type { CompiledState } from "./compile-state.ts";
import type { ConditionFact, StatusWriter } from "./status.ts";

export type ObjectStatusesNeeds = {
  readonly pullCredentials: ObservedStore<KubernetesObject>;
  readonly imageRewrites: ObservedStore<KubernetesObject>;
  readonly latest: () => CompiledState | undefined;
  readonly progress: SyncProgress;
  readonly status: StatusWriter;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Registry;
};

export type ObjectStatuses = Component & {
  /** Every status may have changed. */
  touch(): void;
  /** Only the progress of the namespaces has: written at most twice a second. */
  touchProgress(): void;
};

const progressDelayMs = 500;
const listLimit = 20;
const messageLimit = 1024;

/** Keeps the status of PullCredentials and ImageRewrites; runs on the leader only. */
export function createObjectStatuses(needs: ObjectStatusesNeeds): ObjectStatuses {
  const { pullCredentials, imageRewrites, status } = needs;

  async function writeCredential(name: string, signal: AbortSignal): Promise<void> {
    const observed = pullCredentials.get(name);
    const report = needs.latest()?.credentials.find((candidate) => candidate.name === name);
    if (observed === undefined || report === undefined) return;
    const fields = {
      registries: report.registries,
      ...(report.conflicts.length === 0 ? {} : { conflicts: report.conflicts.slice(0, listLimit) }),
      ...progressOf(name, observed),
    };
    await status.write(resources.pullCredentials, observed, { conditions: report.conditions, fields }, signal);
  }

  /**
   * A leader that has just begun has looked at nothing yet: what is known to have been reached for the same revision
   * stands until it has been everywhere, or has come as far.
   */
  function progressOf(name: string, observed: KubernetesObject) {
    const now = needs.progress.statusOf(name);
    const { observedRevision, namespaces } = (observed.status ?? {}) as PullCredentialStatus;
    if (now === undefined || namespaces === undefined || observedRevision !== now.observedRevision) return now;
    const isBehind = now.namespaces.synced < namespaces.synced && !needs.progress.hasReached(observedRevision);
    return isBehind ? { observedRevision, namespaces } : now;
  }

  async function writeRewrite(name: string, signal: AbortSignal): Promise<void> {
    const observed = imageRewrites.get(name);
    const finding = needs.latest()?.rewrites.find((candidate) => candidate.name === name);
    if (observed === undefined || finding === undefined) return;
    const fields = {
      order: finding.order,
      rules: { active: finding.active, total: finding.total, summary: `${finding.active}/${finding.total}` },
      ...(finding.inactive.length === 0 ? {} : { inactive: finding.inactive.slice(0, listLimit) }),
    };
    await status.write(resources.imageRewrites, observed, { conditions: [rewriteCondition(finding)], fields }, signal);
  }

  const queue = createQueue({
    name: "status",
    workers: 2,
    clock: needs.clock,
    random: needs.random,
    log: needs.log,
    metrics: needs.metrics,
    work: async (key, signal) => {
      const [kind, name = ""] = key.split("/");
      await (kind === "credential" ? writeCredential(name, signal) : writeRewrite(name, signal));
      return { kind: "done" };
    },
  });
  const credentialKeys = () => pullCredentials.list().map((object) => `credential/${object.metadata.name}`);
  const rewriteKeys = () => imageRewrites.list().map((object) => `rewrite/${object.metadata.name}`);

  return {
    name: "statuses",
    touch() {
      for (const key of [...credentialKeys(), ...rewriteKeys()]) queue.add(key);
    },
    touchProgress() {
      for (const key of credentialKeys()) queue.addAfter(key, progressDelayMs);
    },
    run: (stop) => queue.run(stop),
  };
}

function rewriteCondition(finding: RewriteFindings): ConditionFact {
  if (finding.invalid.length > 0) {
    const consequence =
      finding.inForce === "last-good" ? "the last good version stays in force" : "none of its rules is in force";
    return notReady("Invalid", `${listRules(finding.invalid)}; ${consequence}`);
  }
  if (finding.inactive.length > 0) return notReady("RulesInactive", listRules(finding.inactive));
  return { type: "Ready", status: "True", reason: "Compiled", message: `${finding.total} rules are in force` };
}

function notReady(reason: string, message: string): ConditionFact {
  return { type: "Ready", status: "False", reason, message: message.slice(0, messageLimit) };
}

/** Rule 0 is the object as a whole. */
function listRules(rules: readonly RuleFinding[]): string {
  return rules
    .slice(0, listLimit)
    .map(({ rule, reason }) => (rule === 0 ? reason : `rule ${rule}: ${reason}`))
    .join("; ");
}
