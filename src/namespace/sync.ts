import { Counter, type Registry } from "prom-client";
import type { EventRecorder } from "../cluster/event.ts";
import type { ObservedStore } from "../cluster/store.ts";
import type { Compiled } from "../config/compiled.ts";
import { pullSecretName, pushSecretName } from "../config/names.ts";
import type { Log } from "../log.ts";
import { decideSync, type SyncStep } from "./decide.ts";
import { type DesiredSecret, desiredPullSecret, desiredPushSecret, secretLimitBytes } from "./desired.ts";
import type { ObservedNamespace, ObservedSecret } from "./observed.ts";
import type { SyncProgress } from "./progress.ts";
import type { ApplyOutcome, SecretVersion, SecretWriter } from "./secret-writer.ts";
import { isOptedIn, type NamespaceSelection } from "./selection.ts";

export type SyncOutcome =
  | { readonly kind: "done" }
  /** Look again after a while: something changed meanwhile, or a write was refused for now. */
  | { readonly kind: "retry"; readonly reason: string };

export type NamespaceSync = {
  /** Brings the Secrets of one namespace in step. @throws ApiError for what may pass by itself */
  reconcile(namespace: string, signal: AbortSignal): Promise<SyncOutcome>;
};

export type SyncNeeds = {
  readonly namespaces: ObservedStore<ObservedNamespace>;
  readonly pullSecrets: ObservedStore<ObservedSecret>;
  /** undefined: push is switched off; Secrets of that name are neither watched nor written. */
  readonly pushSecrets: ObservedStore<ObservedSecret> | undefined;
  readonly compiled: () => Compiled | undefined;
  readonly selection: NamespaceSelection;
  readonly writer: SecretWriter;
  readonly progress: SyncProgress;
  readonly events: Pick<EventRecorder, "record">;
  readonly log: Log;
  readonly metrics: Registry;
};

/** One of the two Secrets that a namespace can have. */
type SecretKind = {
  readonly name: string;
  readonly store: ObservedStore<ObservedSecret>;
  readonly desired: (compiled: Compiled, namespace: ObservedNamespace) => DesiredSecret;
};

/** What became of one Secret: `waiting` says nothing about the namespace, yet. */
type SecretResult =
  | { readonly kind: "synced" | "waiting" }
  | { readonly kind: "stale" }
  | { readonly kind: "failing"; readonly reason: string; readonly note: string; readonly retry: boolean };

/** Reads the stores, lets decide.ts decide and has secret-writer.ts write; the leader's part. */
export function createNamespaceSync(needs: SyncNeeds): NamespaceSync {
  const { namespaces, compiled, selection, writer, progress, events, log } = needs;
  const writes = new Counter({
    name: "slipway_credentials_writes_total",
    help: "Writes of pull and push Secrets by the controller, by what came of them.",
    labelNames: ["secret", "outcome"] as const,
    registers: [needs.metrics],
  });
  const kinds: readonly SecretKind[] = [
    { name: pullSecretName, store: needs.pullSecrets, desired: desiredPullSecret },
    ...(needs.pushSecrets === undefined
      ? []
      : [{ name: pushSecretName, store: needs.pushSecrets, desired: desiredPushSecret }]),
  ];
  /** Failures already told in an Event: `namespace/secret` → reason. */
  const told = new Map<string, string>();

  async function syncSecret(
    kind: SecretKind,
    namespace: ObservedNamespace,
    signal: AbortSignal,
  ): Promise<SecretResult> {
    const state = compiled();
    const optedIn = isOptedIn(namespace, selection);
    const step = decideSync({
      namespace,
      optedIn,
      observed: kind.store.get(`${namespace.name}/${kind.name}`),
      desired: state === undefined || !optedIn ? undefined : kind.desired(state, namespace),
    });
    switch (step.kind) {
      case "keep":
        return { kind: "synced" };
      case "wait":
        return { kind: "waiting" };
      case "refuse":
        return failing(step.reason, foreignNote(kind.name), false);
      case "hold":
        return failing(step.reason, `it would hold ${step.bytes} bytes; a Secret ends at ${secretLimitBytes}`, false);
      case "remove":
        return removeSecret(kind.name, namespace.name, { known: step.known, signal });
      case "apply":
        return applySecret(step, signal);
    }
  }

  async function removeSecret(
    name: string,
    namespace: string,
    { known, signal }: { readonly known: SecretVersion; readonly signal: AbortSignal },
  ): Promise<SecretResult> {
    const outcome = await writer.remove({ namespace, name }, known, signal);
    writes.inc({ secret: name, outcome: outcome.kind });
    log.info({ namespace, secret: name, outcome: outcome.kind }, "Secret removed");
    return outcome.kind === "stale" ? { kind: "stale" } : { kind: "synced" };
  }

  async function applySecret(step: Extract<SyncStep, { kind: "apply" }>, signal: AbortSignal): Promise<SecretResult> {
    const { name, namespace } = step.secret;
    const outcome = await writer.apply({ secret: step.secret, known: step.known, force: true }, signal);
    writes.inc({ secret: name, outcome: outcome.kind });
    log.debug({ namespace, secret: name, outcome: outcome.kind, revision: step.secret.revision }, "Secret applied");
    return outcome.kind === "unchangeable" && outcome.cause === "immutable"
      ? replaceImmutable(step, outcome, signal)
      : resultOf(outcome, name);
  }

  /** An immutable Secret can only be made anew; the gap is one request long. */
  async function replaceImmutable(
    step: Extract<SyncStep, { kind: "apply" }>,
    known: SecretVersion,
    signal: AbortSignal,
  ): Promise<SecretResult> {
    const { name, namespace } = step.secret;
    const removed = await removeSecret(name, namespace, { known, signal });
    if (removed.kind !== "synced") return removed;
    const outcome = await writer.apply({ secret: step.secret, known: undefined, force: false }, signal);
    writes.inc({ secret: name, outcome: outcome.kind });
    return resultOf(outcome, name);
  }

  /** An Event for each failure that lasts, once for each reason. */
  function tell(name: string, secret: SecretKind, result: SecretResult): void {
    const key = `${name}/${secret.name}`;
    if (result.kind !== "failing") {
      if (result.kind === "synced") told.delete(key);
      return;
    }
    if (told.get(key) === result.reason) return;
    told.set(key, result.reason);
    log.warn({ namespace: name, secret: secret.name, reason: result.reason }, "Secret cannot be kept");
    events.record({
      regarding: {
        apiVersion: "v1",
        kind: "Secret",
        namespace: name,
        name: secret.name,
        uid: secret.store.get(key)?.uid,
      },
      type: "Warning",
      reason: result.reason,
      action: "SyncCredentials",
      note: result.note,
    });
  }

  function forget(name: string): void {
    progress.forget(name);
    for (const kind of kinds) told.delete(`${name}/${kind.name}`);
  }

  async function reconcileKnown(namespace: ObservedNamespace, signal: AbortSignal): Promise<SyncOutcome> {
    let outcome: SyncOutcome = { kind: "done" };
    const isServed = isOptedIn(namespace, selection) && !namespace.terminating;
    const revision = compiled()?.revision ?? 0;
    const results: SecretResult[] = [];
    for (const kind of kinds) {
      const result = await syncSecret(kind, namespace, signal);
      tell(namespace.name, kind, result);
      results.push(result);
      if (result.kind === "stale") outcome = { kind: "retry", reason: "Changed" };
      if (result.kind === "failing" && result.retry) outcome = { kind: "retry", reason: result.reason };
    }
    if (isServed) recordProgress(namespace.name, results, revision);
    return outcome;
  }

  /** A namespace is as far as the last of its Secrets; `revision` is what it was begun with. */
  function recordProgress(name: string, results: readonly SecretResult[], revision: number): void {
    const failed = results.find((result) => result.kind === "failing");
    if (failed !== undefined) progress.record(name, { kind: "failing", reason: failed.reason });
    else if (results.every((result) => result.kind === "synced")) progress.record(name, { kind: "synced", revision });
  }

  return {
    async reconcile(name, signal) {
      const namespace = namespaces.get(name);
      if (namespace === undefined || namespace.terminating || !isOptedIn(namespace, selection)) forget(name);
      if (namespace === undefined) return { kind: "done" };
      try {
        return await reconcileKnown(namespace, signal);
      } catch (error) {
        if (!signal.aborted) progress.record(name, { kind: "failing", reason: "WriteFailed" });
        throw error;
      }
    },
  };
}

function resultOf(outcome: ApplyOutcome, name: string): SecretResult {
  switch (outcome.kind) {
    case "created":
    case "updated":
    case "unchanged":
    case "gone": // Terminating: there is nothing left to do
      return { kind: "synced" };
    case "stale":
      return { kind: "stale" };
    case "conflict":
      return failing("ForeignSecret", foreignNote(name), true);
    case "forbidden":
      return failing(outcome.reason, `Secret ${name} cannot be written: ${outcome.message}`, true);
    case "unchangeable":
      return failing(
        "SecretTypeChanged",
        `Secret ${name} carries Slipway's marker but is not of type kubernetes.io/dockerconfigjson, which cannot be changed; delete it and Slipway writes it anew`,
        false,
      );
  }
}

function foreignNote(name: string): string {
  return `a Secret ${name} without the label app.kubernetes.io/managed-by: slipway stands where Slipway keeps its own, and is left alone; pods of this namespace get no credentials from Slipway until it is renamed or deleted`;
}

function failing(reason: string, note: string, retry: boolean): SecretResult {
  return { kind: "failing", reason, note, retry };
}
