import type { Registry } from "prom-client";
import { Counter } from "prom-client";
import type { Clock, Random } from "../clock.ts";
import type { ClusterApi } from "../cluster/api.ts";
import type { Component } from "../cluster/component.ts";
import type { EventRecorder } from "../cluster/event.ts";
import { createQueue, type WorkOutcome } from "../cluster/queue.ts";
import { resources } from "../cluster/resource.ts";
import type { ObservedStore } from "../cluster/store.ts";
import type { Log } from "../log.ts";
import type { ObservedNamespace } from "../namespace/observed.ts";
import { isOptedIn, type NamespaceSelection } from "../namespace/selection.ts";
import { adviceFor, findStrandedPods, type StrandedPod } from "../namespace/stranded-pods.ts";

export type StrandedReport = Component & {
  /** This namespace was added or its labels have changed. */
  touch(namespace: string): void;
};

/** A pull that fails has failed by then. */
const firstLookMs = 10_000;
const nextLookMs = 1_800_000;

/**
 * Reports the pods that were failing before their namespace was opted in: one Event each, with what to restart. Looks
 * at namespaces when they become served, and at all of them at the beginning and every half hour. Each look is one list
 * of the cluster's pending pods, however many namespaces it is for. Runs on the leader only.
 */
export function createStrandedReport(needs: {
  readonly namespaces: ObservedStore<ObservedNamespace>;
  readonly selection: NamespaceSelection;
  readonly api: ClusterApi;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Registry;
}): StrandedReport {
  const { namespaces, selection, api, events, clock, random, log, metrics } = needs;
  const served = new Set<string>();
  /** Served since the last look. */
  const fresh = new Set<string>();
  const reported = new Counter({
    name: "slipway_pods_not_injected_total",
    help: "Reports of pods that cannot pull because they were admitted before their namespace was served",
    registers: [metrics],
  });

  async function work(key: string, signal: AbortSignal): Promise<WorkOutcome> {
    const names = new Set(key === "all" ? served : fresh);
    if (key === "fresh" && names.size === 0) return { kind: "done" };
    const pods = await api.list(resources.pods, { fieldSelector: "status.phase=Pending" }, signal);
    for (const name of names) fresh.delete(name);
    report(findStrandedPods(pods).filter(({ namespace }) => names.has(namespace) && isServed(namespace)));
    return key === "all" ? { kind: "again", afterMs: nextLookMs * (0.9 + random() * 0.2) } : { kind: "done" };
  }

  function report(stranded: readonly StrandedPod[]): void {
    for (const pod of stranded) {
      reported.inc();
      events.record({
        regarding: { apiVersion: "v1", kind: "Pod", namespace: pod.namespace, name: pod.name, uid: pod.uid },
        type: "Warning",
        reason: "PodNotInjected",
        action: "Inspect",
        note: `cannot pull ${pod.image}: ${adviceFor(pod)}`.slice(0, 1024),
      });
    }
    if (stranded.length > 0) log.warn({ pods: stranded.length }, "pods were admitted before Slipway");
  }

  function isServed(name: string): boolean {
    const namespace = namespaces.get(name);
    return namespace !== undefined && !namespace.terminating && isOptedIn(namespace, selection);
  }

  const queue = createQueue({ name: "stranded-pods", workers: 1, work, clock, random, log, metrics });
  const touch = (name: string) => {
    const isNow = isServed(name);
    if (isNow && !served.has(name)) {
      fresh.add(name);
      queue.addAfter("fresh", firstLookMs);
    }
    if (isNow) served.add(name);
    else served.delete(name);
  };
  return {
    name: "stranded pods",
    touch,
    async run(stop) {
      served.clear();
      fresh.clear();
      for (const { name } of namespaces.list()) if (isServed(name)) served.add(name);
      queue.addAfter("all", firstLookMs);
      await queue.run(stop);
    },
  };
}
