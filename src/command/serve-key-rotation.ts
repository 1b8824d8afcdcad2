import { randomBytes } from "node:crypto";
import type { Component } from "../cluster/component.ts";
import { pullSecretName, pushSecretName, registryKeysSecretName } from "../config/names.ts";
import { createKeyRotation, type KeyRotationControl } from "../leader/key-rotation.ts";
import type { SyncProgress } from "../namespace/progress.ts";
import type { ServeReplica } from "./serve-replica.ts";

const defaultGraceMs = 90_000;

/** The leader's part of `slipway rotate`, over what this replica observes. */
export function createServeKeyRotation(
  replica: ServeReplica,
  options: { readonly progress: SyncProgress; readonly keyGraceMs?: number },
): KeyRotationControl {
  const { stores, api, clock, random, log, metrics } = replica;
  return createKeyRotation({
    secret: () => replica.secret(registryKeysSecretName),
    compiled: replica.compiled,
    progress: options.progress,
    secretsOf: (name) =>
      [
        stores.pullSecrets.get(`${name}/${pullSecretName}`),
        stores.pushSecrets?.get(`${name}/${pushSecretName}`),
      ].filter((secret) => secret !== undefined),
    api,
    graceMs: options.keyGraceMs ?? defaultGraceMs,
    randomBytes,
    clock,
    random,
    log,
    metrics,
  });
}

/** A later key generation is handed out when every gateway accepts it, which their streams tell. */
export function createGenerationWatch({ feed, clock }: ServeReplica, onChange: () => void): Component {
  return {
    name: "generation watch",
    async run(stop) {
      let before = "";
      while (!stop.aborted) {
        const now = [...(feed.generations() ?? [])].sort().join();
        if (now !== before) onChange();
        before = now;
        await clock.sleep(1_000, stop).catch((error: unknown) => {
          if (!stop.aborted) throw error;
        });
      }
    },
  };
}
