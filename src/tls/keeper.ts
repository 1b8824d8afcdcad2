import { Gauge, type Registry } from "prom-client";
import type { Clock, Random } from "../clock.ts";
import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { Component } from "../cluster/component.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { ObservedStore } from "../cluster/store.ts";
import {
  certificateAuthoritySecretName,
  registryCertificateSecretName,
  serveCertificateSecretName,
  tokenAuthoritySecretName,
  tokenSigningSecretName,
} from "../config/names.ts";
import type { Log } from "../log.ts";
import { type CertificateNames, readBundle } from "./certificate.ts";
import { type CertificateGroup, createCertificateGroup, type GroupState } from "./certificate-group.ts";
import { createCertificateSecrets } from "./certificate-secrets.ts";
import { createCertificateWriter } from "./certificate-writer.ts";
import type { BundlePublisher } from "./publish.ts";

/** What the leaves have to be valid for; `registry` undefined: not known yet, its leaf is left alone. */
export type WantedCertificates = {
  readonly serve: CertificateNames | undefined;
  readonly registry: CertificateNames | undefined;
};

export type CertificateKeeper = Component & {
  /** Looks at once: a wanted name changed, a node reported, the webhook configuration changed. */
  look(): void;
};

export type CertificateKeeperNeeds = {
  readonly api: ClusterApi;
  /** The Secrets of `namespace`. */
  readonly secrets: ObservedStore<KubernetesObject>;
  readonly namespace: string;
  readonly wanted: () => WantedCertificates;
  /** Puts the bundle where clients outside slipway-system read it. */
  readonly publisher: BundlePublisher;
  /** Whether every node that has to has reported the CA with this fingerprint (SHA-256, hex). */
  readonly acknowledged: (fingerprint: string) => boolean;
  /** Whether every running Distribution has been started with this token CA in its bundle. */
  readonly tokenAuthorityDeployed: (fingerprint: string) => boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Registry;
};

const settledPauseMs = 60 * 1000;
const unsettledPauseMs = 5 * 1000;
const maxBackoffMs = 60 * 1000;

/**
 * Keeps both authorities and their leaves in their Secrets, and the bundle published. To be run by the leader only.
 * A pass that finds nothing to do costs no write.
 */
export function createCertificateKeeper(needs: CertificateKeeperNeeds): CertificateKeeper {
  const secrets = createCertificateSecrets({
    secrets: needs.secrets,
    namespace: needs.namespace,
    writer: createCertificateWriter(needs),
    clock: needs.clock,
  });
  let published: ReadonlySet<string> = new Set();
  const serving = createCertificateGroup({
    authoritySecretName: certificateAuthoritySecretName,
    commonName: "slipway CA",
    leaves: {
      [serveCertificateSecretName]: () => needs.wanted().serve,
      [registryCertificateSecretName]: () => needs.wanted().registry,
    },
    spread: (fingerprint) => {
      if (!published.has(fingerprint)) return "unpublished";
      return needs.acknowledged(fingerprint) ? "reported" : "published";
    },
    secrets,
    clock: needs.clock,
    log: needs.log,
  });
  const tokens = createCertificateGroup({
    authoritySecretName: tokenAuthoritySecretName,
    commonName: "slipway token CA",
    leaves: { [tokenSigningSecretName]: () => ({ dnsNames: [], addresses: [] }) },
    // Distribution reads its bundle once, at its start: time alone proves nothing.
    spread: (fingerprint) => (needs.tokenAuthorityDeployed(fingerprint) ? "reported" : "unpublished"),
    secrets,
    clock: needs.clock,
    log: needs.log,
  });
  const ends = new Gauge({
    name: "slipway_certificate_not_after_seconds",
    help: "End of the certificate in a Secret, seconds since the epoch",
    labelNames: ["secret"],
    registers: [needs.metrics],
  });
  const pass = async (signal: AbortSignal): Promise<number> => {
    const states = [await settled(serving, ends, signal), await settled(tokens, ends, signal)];
    const bundle = states[0]?.bundle ?? "";
    await needs.publisher.publish(bundle, signal);
    published = new Set(readBundle(bundle).map((facts) => facts.fingerprint));
    return states.some((state) => state.unsettled) ? unsettledPauseMs : settledPauseMs;
  };
  return createLoop(needs, pass);
}

async function settled(group: CertificateGroup, ends: Gauge, signal: AbortSignal): Promise<GroupState> {
  const state = await group.settle(signal);
  for (const [secret, notAfterMs] of Object.entries(state.notAfterMs)) ends.set({ secret }, notAfterMs / 1000);
  return state;
}

/** Runs `pass` again and again: when called, and after the pause that the last one asked for. */
function createLoop(needs: CertificateKeeperNeeds, pass: (signal: AbortSignal) => Promise<number>): CertificateKeeper {
  let wake = new AbortController();
  const names = new Set<string>([
    certificateAuthoritySecretName,
    serveCertificateSecretName,
    registryCertificateSecretName,
    tokenAuthoritySecretName,
    tokenSigningSecretName,
  ]);
  needs.secrets.onChange((key) => {
    if (names.has(key.slice(key.indexOf("/") + 1))) wake.abort();
  });
  return {
    name: "certificate keeper",
    look: () => wake.abort(),
    async run(stop) {
      let failures = 0;
      while (!stop.aborted) {
        wake = new AbortController();
        const pauseMs = needs.secrets.hasSynced() ? await attempt(needs, pass, { failures, stop }) : unsettledPauseMs;
        failures = pauseMs === undefined ? failures + 1 : 0;
        const backoffMs = Math.min(maxBackoffMs, 500 * 2 ** failures) * (0.5 + needs.random() / 2);
        // A conflict is followed by a change in the store; a failure is not to be repeated faster than the back-off.
        const signals = pauseMs === undefined ? [stop] : [stop, wake.signal];
        await rest(needs.clock, pauseMs ?? backoffMs, AbortSignal.any(signals));
      }
    },
  };
}

async function attempt(
  needs: CertificateKeeperNeeds,
  pass: (signal: AbortSignal) => Promise<number>,
  state: { readonly failures: number; readonly stop: AbortSignal },
): Promise<number | undefined> {
  try {
    return await pass(state.stop);
  } catch (error) {
    if (state.stop.aborted) return undefined;
    const level = error instanceof ApiError && error.status === 409 ? "debug" : "warn";
    needs.log[level]({ err: error, failures: state.failures + 1 }, "certificates could not be kept; trying again");
    return undefined;
  }
}

async function rest(clock: Clock, durationMs: number, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(durationMs, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
