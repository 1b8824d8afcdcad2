import { Gauge, type Registry } from "prom-client";
import type { ObservedStore } from "../cluster/store.ts";
import type { Compiled } from "../config/compiled.ts";
import type { PullCredentialStatus } from "../config/pull-credential.ts";
import { selectingCredentials } from "./desired.ts";
import type { ObservedNamespace } from "./observed.ts";
import { isOptedIn, type NamespaceSelection } from "./selection.ts";

/** What the last look at a namespace came to. */
export type NamespaceResult =
  /** Its Secrets hold what this revision of the compiled state asks for. */
  | { readonly kind: "synced"; readonly revision: number }
  /** One CamelCase word, stable. */
  | { readonly kind: "failing"; readonly reason: string };

export type SyncProgress = {
  /** Called by the sync after each look at a namespace. @returns whether it is another result than before */
  record(namespace: string, result: NamespaceResult): boolean;
  forget(namespace: string): void;
  /** The part of a PullCredential's status that tells how far its logins have come. */
  statusOf(credentialName: string): Required<Pick<PullCredentialStatus, "observedRevision" | "namespaces">> | undefined;
  /** Whether every served namespace has been looked at with the compiled state of `revision` or a later one. */
  hasReached(revision: number): boolean;
  /** How many served namespaces have what `revision` or a later one asks for, and which do not yet. */
  reach(revision: number): RevisionReach;
  /** Called after a result changed; the handler only notes it. */
  onChange(handler: () => void): void;
};

export type RevisionReach = {
  readonly total: number;
  /** By name; `reason` is why the last write failed, absent when there was none yet. */
  readonly behind: readonly { readonly name: string; readonly reason?: string }[];
};

const failingAtMost = 20;

/**
 * Remembers what the sync came to in each namespace. A namespace counts as synced only for the revision that it was
 * looked at with, so that after a change the count starts from nothing and shows how far the fan-out is.
 */
export function createSyncProgress(needs: {
  readonly namespaces: ObservedStore<ObservedNamespace>;
  readonly compiled: () => Compiled | undefined;
  readonly selection: NamespaceSelection;
  readonly metrics: Registry;
}): SyncProgress {
  const { namespaces, compiled, selection, metrics } = needs;
  const results = new Map<string, NamespaceResult>();
  const handlers: (() => void)[] = [];
  const notify = () => {
    for (const handler of handlers) handler();
  };

  /** Namespaces that are served and stay, with their results. */
  function served(): readonly {
    readonly namespace: ObservedNamespace;
    readonly result: NamespaceResult | undefined;
  }[] {
    return namespaces
      .list()
      .filter((namespace) => !namespace.terminating && isOptedIn(namespace, selection))
      .map((namespace) => ({ namespace, result: results.get(namespace.name) }));
  }

  function isSynced(result: NamespaceResult | undefined): boolean {
    return result?.kind === "synced" && result.revision === compiled()?.revision;
  }

  registerMetrics(metrics, () => {
    const all = served();
    return {
      synced: all.filter(({ result }) => isSynced(result)).length,
      failing: all.filter(({ result }) => result?.kind === "failing").length,
      total: all.length,
      revision: compiled()?.revision ?? 0,
    };
  });

  return {
    record(namespace, result) {
      const before = results.get(namespace);
      const isSame =
        before?.kind === result.kind &&
        (result.kind === "synced"
          ? before.kind === "synced" && before.revision === result.revision
          : before.kind === "failing" && before.reason === result.reason);
      if (isSame) return false;
      results.set(namespace, result);
      notify();
      return true;
    },
    forget(namespace) {
      if (results.delete(namespace)) notify();
    },
    statusOf(credentialName) {
      const state = compiled();
      if (state === undefined) return undefined;
      const selected = served().filter(({ namespace }) =>
        selectingCredentials(state, namespace).some(({ name }) => name === credentialName),
      );
      const synced = selected.filter(({ result }) => isSynced(result)).length;
      const failing = selected
        .flatMap(({ namespace, result }) =>
          result?.kind === "failing" ? [{ name: namespace.name, reason: result.reason }] : [],
        )
        .sort((left, right) => (left.name < right.name ? -1 : 1))
        .slice(0, failingAtMost);
      return {
        observedRevision: state.revision,
        namespaces: { synced, total: selected.length, summary: `${synced}/${selected.length}`, failing },
      };
    },
    hasReached(revision) {
      return served().every(({ result }) => result?.kind === "failing" || (result?.revision ?? 0) >= revision);
    },
    reach(revision) {
      const all = served();
      const behind = all.flatMap(({ namespace: { name }, result }) => {
        if (result?.kind === "failing") return [{ name, reason: result.reason }];
        return (result?.revision ?? 0) >= revision ? [] : [{ name }];
      });
      return { total: all.length, behind: behind.sort((left, right) => (left.name < right.name ? -1 : 1)) };
    },
    onChange(handler) {
      handlers.push(handler);
    },
  };
}

function registerMetrics(
  metrics: Registry,
  count: () => {
    readonly synced: number;
    readonly failing: number;
    readonly total: number;
    readonly revision: number;
  },
): void {
  new Gauge({
    name: "slipway_credentials_namespaces",
    help: "Served namespaces by what the sync of their pull Secret came to; all of them under total.",
    labelNames: ["state"] as const,
    registers: [metrics],
    collect() {
      const { synced, failing, total } = count();
      this.set({ state: "synced" }, synced);
      this.set({ state: "failing" }, failing);
      this.set({ state: "total" }, total);
    },
  });
  new Gauge({
    name: "slipway_credentials_revision",
    help: "Revision of the compiled state that this replica has in memory; 0 before the first.",
    registers: [metrics],
    collect() {
      this.set(count().revision);
    },
  });
}
