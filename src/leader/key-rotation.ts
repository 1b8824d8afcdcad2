import { Gauge, type Registry } from "prom-client";
import type { Clock, Random } from "../clock.ts";
import type { ClusterApi } from "../cluster/api.ts";
import type { Component } from "../cluster/component.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { createQueue, type WorkOutcome } from "../cluster/queue.ts";
import { resources } from "../cluster/resource.ts";
import type { Compiled, RegistryKey } from "../config/compiled.ts";
import { keyRotationAnnotation, rotateKeyAnnotation } from "../config/names.ts";
import type { Log } from "../log.ts";
import type { ObservedSecret } from "../namespace/observed.ts";
import type { SyncProgress } from "../namespace/progress.ts";
import {
  decideKeyRotation,
  isHandedOut,
  type KeyRotation,
  type KeyRotationFacts,
  parseKeyRotation,
} from "../registry/key-rotation.ts";
import { keysDataKey, nextGeneration, readRegistryKeys, writeRegistryKeys } from "../registry/keys.ts";

export type KeyRotationNeeds = {
  /** Secret `slipway-registry-keys` as observed. */
  readonly secret: () => KubernetesObject | undefined;
  readonly compiled: () => Compiled | undefined;
  readonly progress: Pick<SyncProgress, "reach">;
  /** The pull and push Secrets of a namespace as observed. */
  readonly secretsOf: (namespace: string) => readonly ObservedSecret[];
  readonly api: ClusterApi;
  /** How long the previous generation stays accepted after the last namespace has the new one. */
  readonly graceMs: number;
  readonly randomBytes: (size: number) => Buffer;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Registry;
};

export type KeyRotationControl = Component & {
  /** The key Secret has changed. */
  touch(): void;
};

const lookMs = 500;
const listedAtMost = 20;
const queueKey = "registry-key";

/**
 * Brings in a new generation of the registry's key when an annotation of its Secret asks for one, and drops the
 * previous one when no namespace holds a login of it any more. In between both are accepted; who gets the new one is
 * registry-section.ts's part. Runs on the leader only.
 */
export function createKeyRotation(needs: KeyRotationNeeds): KeyRotationControl {
  const { api, clock, log } = needs;
  /** Since when logins of this generation are handed out, and since when all namespaces have them. */
  let spreading:
    | { readonly generation: number; readonly revision: number; readonly settledAtMs: number | undefined }
    | undefined;
  const meter = createMeter(needs.metrics, () => readRegistryKeys(needs.secret())?.length ?? 0);

  function look(secret: KubernetesObject, keys: readonly RegistryKey[]): KeyRotationFacts {
    const registry = needs.compiled()?.registry ?? null;
    const [newest] = keys;
    const isOut = newest !== undefined && isHandedOut(newest, registry);
    const spread = isOut
      ? lookAtSpread(newest.generation)
      : { synced: 0, total: needs.progress.reach(0).total, failing: [] };
    return {
      keys,
      requested: secret.metadata.annotations?.[rotateKeyAnnotation] ?? "",
      recorded: recordOf(secret),
      registry,
      spread,
      settledForMs:
        !isOut || spreading?.settledAtMs === undefined ? undefined : clock.monotonicMs() - spreading.settledAtMs,
      graceMs: needs.graceMs,
    };
  }

  /**
   * A namespace that has been looked at since is on the new generation. One that has not, or that cannot be written,
   * counts against it only while a Secret of ours is there from before: new ones get nothing but new logins.
   */
  function lookAtSpread(generation: number): KeyRotationFacts["spread"] {
    if (spreading?.generation !== generation) {
      spreading = { generation, revision: needs.compiled()?.revision ?? 0, settledAtMs: undefined };
    }
    const { revision } = spreading;
    const { total, behind } = needs.progress.reach(revision);
    const holding = behind.filter(({ name }) =>
      needs.secretsOf(name).some((secret) => secret.ours && (secret.revision ?? 0) < revision),
    );
    const settledAtMs = holding.length > 0 ? undefined : (spreading.settledAtMs ?? clock.monotonicMs());
    spreading = { generation, revision, settledAtMs };
    const failing = holding.flatMap(({ name, reason }) => (reason === undefined ? [] : [{ name, reason }]));
    return { synced: total - holding.length, total, failing: failing.slice(0, listedAtMost) };
  }

  async function work(_key: string, signal: AbortSignal): Promise<WorkOutcome> {
    const secret = needs.secret();
    const keys = readRegistryKeys(secret);
    if (secret === undefined || keys === undefined) return { kind: "done" };
    const facts = look(secret, keys);
    meter.note(facts.keys.length > 1 ? facts.spread : undefined);
    const step = decideKeyRotation(facts);
    if (step.kind === "idle") return { kind: "done" };
    if (step.kind === "begin") {
      const next = nextGeneration(keys, needs.randomBytes(32));
      await write(secret, { ...recordFor(facts, "accepting", next), request: step.request }, { keys: next, signal });
      log.info({ generation: next[0]?.generation }, "a new generation of the registry's key");
    } else if (step.kind === "finish") {
      const kept = keys.slice(0, 1);
      await write(secret, recordFor(facts, "done", kept), { keys: kept, signal });
      log.info(
        { generation: kept[0]?.generation },
        "the previous generation of the registry's key is refused from now on",
      );
    } else {
      await write(secret, recordFor(facts, step.phase, keys), { signal });
    }
    return { kind: "again", afterMs: lookMs };
  }

  /** Nothing is written where nothing has changed; the version makes an overlapping leader look again. */
  async function write(
    secret: KubernetesObject,
    record: KeyRotation,
    change: { readonly keys?: readonly RegistryKey[]; readonly signal: AbortSignal },
  ): Promise<void> {
    const text = JSON.stringify(record);
    const { keys, signal } = change;
    if (keys === undefined && secret.metadata.annotations?.[keyRotationAnnotation] === text) return;
    const { name, namespace, resourceVersion } = secret.metadata;
    const data = keys === undefined ? undefined : Buffer.from(writeRegistryKeys(keys)).toString("base64");
    await api.merge(
      resources.secrets,
      { ...(namespace === undefined ? {} : { namespace }), name },
      {
        metadata: { resourceVersion, annotations: { [keyRotationAnnotation]: text } },
        ...(data === undefined ? {} : { data: { [keysDataKey]: data } }),
      },
      signal,
    );
  }

  const { random, metrics } = needs;
  const queue = createQueue({ name: "key-rotation", workers: 1, work, clock, random, log, metrics });
  return {
    name: "key rotation",
    touch: () => queue.add(queueKey),
    async run(stop) {
      spreading = undefined;
      queue.add(queueKey);
      await queue.run(stop);
    },
  };
}

function recordOf(secret: KubernetesObject): KeyRotation | undefined {
  return parseKeyRotation(secret.metadata.annotations?.[keyRotationAnnotation]);
}

function recordFor(facts: KeyRotationFacts, phase: KeyRotation["phase"], keys: readonly RegistryKey[]): KeyRotation {
  const request = facts.recorded?.request ?? facts.requested;
  return { request, phase, generation: keys[0]?.generation ?? 0, ...facts.spread };
}

function createMeter(metrics: Registry, generations: () => number) {
  let spread: KeyRotationFacts["spread"] | undefined;
  new Gauge({
    name: "slipway_credentials_key_generations",
    help: "Generations of the registry's key that are accepted: 1, and 2 while it is rotated.",
    registers: [metrics],
    collect() {
      this.set(generations());
    },
  });
  new Gauge({
    name: "slipway_credentials_rotation_namespaces",
    help: "While the registry's key is rotated: namespaces on the new generation, and all; 0 otherwise.",
    labelNames: ["state"] as const,
    registers: [metrics],
    collect() {
      this.set({ state: "synced" }, spread?.synced ?? 0);
      this.set({ state: "total" }, spread?.total ?? 0);
    },
  });
  return {
    note(next: KeyRotationFacts["spread"] | undefined): void {
      spread = next;
    },
  };
}
