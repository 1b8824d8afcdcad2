import type { Clock } from "../clock.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { Log } from "../log.ts";
import { authoritySecret, bundlePem, readAuthoritySecret } from "./authority-secret.ts";
import type { CertificateNames, CertificatePair } from "./certificate.ts";
import { readCertificate } from "./certificate.ts";
import {
  type CertificateRules,
  type CertificateStep,
  decideCertificates,
  isUnsettled,
  type ObservedCertificates,
  type Spread,
} from "./decide.ts";
import { issueAuthority, issueLeaf } from "./issue.ts";
import { bundleBesideLeaf, leafSecret, readLeafSecret } from "./leaf-secret.ts";
import { secretValue } from "./secret-data.ts";

/** The Secrets of one authority, read and written by name; a read shows our own last write. */
export type CertificateSecrets = {
  read(name: string): KubernetesObject | undefined;
  write(name: string, content: Pick<KubernetesObject, "type" | "data">, signal: AbortSignal): Promise<void>;
};

/** One authority and what is signed by it. */
export type CertificateGroup = {
  /** Takes every step that is due now. */
  settle(signal: AbortSignal): Promise<GroupState>;
};

export type GroupState = {
  readonly bundle: string;
  /** A rotation or recovery is waiting for something: look again soon. */
  readonly unsettled: boolean;
  /** Name of the Secret → end of the certificate in it, milliseconds since the epoch. */
  readonly notAfterMs: Readonly<Record<string, number>>;
};

export type CertificateGroupNeeds = {
  readonly authoritySecretName: string;
  readonly commonName: string;
  readonly leaves: Readonly<Record<string, () => CertificateNames | undefined>>;
  readonly spread: (fingerprint: string) => Spread;
  readonly secrets: CertificateSecrets;
  readonly clock: Clock;
  readonly log: Log;
};

/** More steps than any state needs: beyond it somebody undoes what we write. */
const maxSteps = 12;

export function createCertificateGroup(needs: CertificateGroupNeeds): CertificateGroup {
  const rules = (): CertificateRules => ({
    names: Object.fromEntries(Object.entries(needs.leaves).map(([name, names]) => [name, names()])),
  });
  return {
    async settle(signal) {
      for (let taken = 0; taken < maxSteps; taken++) {
        const observed = observe(needs);
        const steps = decideCertificates(observed, rules(), needs.clock.nowMs());
        if (steps.length === 0) return stateOf(needs, observed, isUnsettled(observed, needs.clock.nowMs()));
        for (const step of steps) await takeStep(needs, observed, step, signal);
      }
      const observed = observe(needs);
      needs.log.warn({ secret: needs.authoritySecretName }, "certificates keep changing: is another writer at work?");
      return stateOf(needs, observed, true);
    },
  };
}

function observe(needs: CertificateGroupNeeds): ObservedCertificates {
  const authority = readAuthoritySecret(needs.secrets.read(needs.authoritySecretName));
  const own = [authority.current?.facts, authority.next?.facts].filter((facts) => facts !== undefined);
  const leafSecrets = Object.keys(needs.leaves).map((name) => [name, needs.secrets.read(name)] as const);
  const known = [...own, ...authority.bundle];
  // Without a CA of our own record, since there is none or it was put there by hand, the bundles beside the leaves are what
  // tells which CA clients trust today.
  const isRecorded = own.some(({ fingerprint }) => Object.hasOwn(authority.since, fingerprint));
  const besides = isRecorded ? [] : leafSecrets.flatMap(([, secret]) => bundleBesideLeaf(secret));
  const leaves = leafSecrets.map(([name, secret]) => readLeafSecret(name, secret, [...known, ...besides]));
  return { authority, leaves, spread: needs.spread };
}

async function takeStep(
  needs: CertificateGroupNeeds,
  observed: ObservedCertificates,
  step: CertificateStep,
  signal: AbortSignal,
): Promise<void> {
  switch (step.kind) {
    case "issue-authority":
      return await issueAuthorityInto(needs, step, signal);
    case "write-authority":
      needs.log.info({ secret: needs.authoritySecretName, reason: step.reason }, "certificate authority updated");
      return await needs.secrets.write(needs.authoritySecretName, authoritySecret(step.record), signal);
    case "issue-leaf": {
      const authority = observed.authority.current?.pair;
      const names = needs.leaves[step.secretName]?.();
      if (authority === undefined || names === undefined) return;
      const order = { authority, commonName: commonNameOf(step.secretName, names), names };
      const pair = await issueLeaf({ ...order, nowMs: needs.clock.nowMs() });
      await needs.secrets.write(step.secretName, leafSecret(pair, step.bundle), signal);
      return needs.log.info({ secret: step.secretName, reason: step.reason }, "certificate issued");
    }
    case "write-leaf": {
      const pair = observed.leaves.find((leaf) => leaf.secretName === step.secretName)?.pair;
      if (pair !== undefined) await needs.secrets.write(step.secretName, leafSecret(pair, step.bundle), signal);
    }
  }
}

async function issueAuthorityInto(
  needs: CertificateGroupNeeds,
  step: Extract<CertificateStep, { kind: "issue-authority" }>,
  signal: AbortSignal,
): Promise<void> {
  const nowMs = needs.clock.nowMs();
  const pair: CertificatePair = await issueAuthority({ commonName: needs.commonName, nowMs });
  const facts = readCertificate(pair.certificate);
  if (facts === undefined) throw new TypeError("a certificate that was just issued cannot be read");
  const { record } = step;
  const isReplaced =
    record.current === undefined && secretValue(needs.secrets.read(needs.authoritySecretName), "ca.crt") !== "";
  if (isReplaced) {
    const words = "the certificate authority cannot be used: it expired, or is no self-signed RSA one with its key";
    needs.log.warn({ secret: needs.authoritySecretName }, words);
  }
  const current = record.current === undefined ? [] : [record.current.facts];
  const others = record.bundle.filter((each) => each.fingerprint !== record.current?.facts.fingerprint);
  const written = {
    ...record,
    [step.slot]: { pair, facts },
    bundle: [...current, facts, ...others],
    since: { ...record.since, [facts.fingerprint]: nowMs },
  };
  await needs.secrets.write(needs.authoritySecretName, authoritySecret(written), signal);
  needs.log.info(
    { secret: needs.authoritySecretName, slot: step.slot, fingerprint: facts.fingerprint },
    "certificate authority issued",
  );
}

/** X.520 limits a common name to 64 characters; nobody verifies by it. */
function commonNameOf(secretName: string, names: CertificateNames): string {
  return names.dnsNames.find((name) => name.endsWith(".svc") && name.length <= 64) ?? secretName;
}

function stateOf(needs: CertificateGroupNeeds, observed: ObservedCertificates, unsettled: boolean): GroupState {
  const { authority, leaves } = observed;
  const ends = [
    [needs.authoritySecretName, authority.current?.facts.notAfterMs],
    ...leaves.map((leaf) => [leaf.secretName, leaf.facts?.notAfterMs] as const),
  ] as const;
  const known = ends.filter((entry): entry is readonly [string, number] => entry[1] !== undefined);
  return { bundle: bundlePem(authority.bundle), unsettled, notAfterMs: Object.fromEntries(known) };
}
