import type { Registry } from "prom-client";
import type { Clock, Random } from "../clock.ts";
import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { Component } from "../cluster/component.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { createQueue, type WorkOutcome } from "../cluster/queue.ts";
import { resources } from "../cluster/resource.ts";
import type { ObservedStore } from "../cluster/store.ts";
import type { Compiled } from "../config/compiled.ts";
import type { Log } from "../log.ts";
import type { SyncProgress } from "../namespace/progress.ts";

/** Keeps a PullCredential until its logins have left every namespace. */
export const credentialFinalizer = "slipway.dev/pull-credential";

export type CredentialFinalizer = Component & {
  /** This PullCredential was added, changed or is being deleted. */
  touch(name: string): void;
};

const againMs = 500;

/**
 * Puts the finalizer on PullCredentials, and takes it off one that is being deleted once the compiled state is without
 * it and every namespace has been brought there. A namespace whose Secret cannot be written does not hold it back: its
 * failure stands in an Event. Runs on the leader only.
 */
export function createCredentialFinalizer(needs: {
  readonly pullCredentials: ObservedStore<KubernetesObject>;
  readonly compiled: () => Compiled | undefined;
  readonly progress: Pick<SyncProgress, "hasReached">;
  readonly api: ClusterApi;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Registry;
}): CredentialFinalizer {
  const { pullCredentials, compiled, progress, api, log } = needs;

  async function setFinalizers(object: KubernetesObject, finalizers: readonly string[], signal: AbortSignal) {
    const { name, resourceVersion } = object.metadata;
    try {
      // The version guards the list, which a merge patch replaces as a whole.
      await api.merge(resources.pullCredentials, { name }, { metadata: { finalizers, resourceVersion } }, signal);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
    }
  }

  function hasLeft(name: string): boolean {
    const state = compiled();
    if (state === undefined) return true;
    return !state.credentials.some((credential) => credential.name === name) && progress.hasReached(state.revision);
  }

  async function work(name: string, signal: AbortSignal): Promise<WorkOutcome> {
    const object = pullCredentials.get(name);
    const finalizers = object?.metadata.finalizers ?? [];
    const isOn = finalizers.includes(credentialFinalizer);
    if (object === undefined) return { kind: "done" };
    if (object.metadata.deletionTimestamp === undefined) {
      if (!isOn) await setFinalizers(object, [...finalizers, credentialFinalizer], signal);
      return { kind: "done" };
    }
    if (!isOn) return { kind: "done" };
    if (!hasLeft(name)) return { kind: "again", afterMs: againMs };
    log.info({ name }, "the logins of a deleted PullCredential have left every namespace");
    await setFinalizers(
      object,
      finalizers.filter((entry) => entry !== credentialFinalizer),
      signal,
    );
    return { kind: "done" };
  }

  const { clock, random, metrics } = needs;
  const queue = createQueue({ name: "credential-finalizer", workers: 1, work, clock, random, log, metrics });
  return {
    name: "credential finalizer",
    touch: (name) => queue.add(name),
    async run(stop) {
      for (const { metadata } of pullCredentials.list()) queue.add(metadata.name);
      await queue.run(stop);
    },
  };
}
