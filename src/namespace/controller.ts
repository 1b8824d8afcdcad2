import type { Clock, Random } from "../clock.ts";
import type { Component } from "../cluster/component.ts";
import type { Queue, WorkOutcome } from "../cluster/queue.ts";
import type { ObservedStore } from "../cluster/store.ts";
import type { ObservedNamespace, ObservedSecret } from "./observed.ts";
import type { NamespaceSync } from "./sync.ts";

export type NamespaceControllerNeeds = {
  readonly sync: NamespaceSync;
  readonly namespaces: ObservedStore<ObservedNamespace>;
  readonly pullSecrets: ObservedStore<ObservedSecret>;
  readonly pushSecrets: ObservedStore<ObservedSecret> | undefined;
  /** Called once with a handler for every later change of the compiled state. */
  readonly onCompiled: (handler: () => void) => void;
  /** Called once with a handler for every time that the API server is back, e.g. Reflector.onRecovered. */
  readonly onRecovered?: (handler: () => void) => void;
  /** Namespaces to go first, e.g. SecretEnsure.recent. */
  readonly recent: () => readonly string[];
  /** Makes the work queue, whose keys are names of namespaces. */
  readonly queue: (work: (namespace: string, signal: AbortSignal) => Promise<WorkOutcome>) => Queue;
  /** Every namespace is looked at again after this time; ten minutes unless given. */
  readonly resyncMs?: number;
  readonly clock: Clock;
  readonly random: Random;
};

const firstRetryMs = 1_000;
const longestRetryMs = 300_000;

/**
 * Keeps the Secrets of all namespaces in step, one key of a work queue for each, so that a failing namespace holds
 * back no other. Runs on the leader only: outside `run` it notes nothing, and `run` begins with a look at everything,
 * Secrets of namespaces that are served no longer included.
 */
export function createNamespaceController(needs: NamespaceControllerNeeds): Component {
  const { sync, namespaces, pullSecrets, pushSecrets, clock, random } = needs;
  const secretStores = pushSecrets === undefined ? [pullSecrets] : [pullSecrets, pushSecrets];
  const refusals = new Map<string, number>();
  let isRunning = false;

  const queue = needs.queue(reconcile);

  async function reconcile(namespace: string, signal: AbortSignal): Promise<WorkOutcome> {
    const outcome = await sync.reconcile(namespace, signal);
    if (outcome.kind === "done") {
      refusals.delete(namespace);
      return { kind: "done" };
    }
    const count = (refusals.get(namespace) ?? 0) + 1;
    refusals.set(namespace, count);
    const backOffMs = Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(count - 1, 16));
    return { kind: "again", afterMs: Math.ceil(backOffMs * (0.5 + random() / 2)) };
  }

  function note(namespace: string): void {
    if (isRunning) queue.add(namespace);
  }

  function noteAll(): void {
    if (!isRunning) return;
    const known = new Set(namespaces.list().map(({ name }) => name));
    for (const name of needs.recent()) {
      if (known.delete(name)) queue.add(name, { urgent: true });
    }
    for (const store of secretStores) {
      for (const { namespace } of store.list()) known.add(namespace);
    }
    for (const name of known) queue.add(name);
  }

  namespaces.onChange(note);
  for (const store of secretStores) store.onChange((key) => note(key.slice(0, key.indexOf("/"))));
  needs.onCompiled(noteAll);
  // What failed while it was away does not wait for the end of its back-off.
  needs.onRecovered?.(noteAll);

  async function resyncUntil(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      noteAll();
      try {
        await clock.sleep(needs.resyncMs ?? 600_000, stop);
      } catch {
        return; // told to stop
      }
    }
  }

  return {
    name: "namespaces",
    async run(stop) {
      isRunning = true;
      try {
        await Promise.all([queue.run(stop), resyncUntil(stop)]);
      } finally {
        isRunning = false;
      }
    },
  };
}
