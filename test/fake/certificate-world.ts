import type { AuthorityRecord, ObservedAuthority } from "../../src/tls/authority-secret.ts";
import type { CertificateFacts, CertificateNames } from "../../src/tls/certificate.ts";
import { type CertificateStep, decideCertificates, isUnsettled, type Spread } from "../../src/tls/decide.ts";
import { authorityLifeMs, backdateMs, leafLifeMs } from "../../src/tls/issue.ts";
import type { ObservedLeaf } from "../../src/tls/leaf-secret.ts";

type State = { readonly authority: ObservedAuthority; readonly leaf: ObservedLeaf; readonly nowMs: number };

/** Makes certificates that consist of facts alone: no key, no signature. */
type Issue = (isAuthority: boolean, names: CertificateNames) => CertificateFacts;

const none: CertificateNames = { dnsNames: [], addresses: [] };

const empty: State = {
  authority: {
    current: undefined,
    next: undefined,
    bundle: [],
    since: {},
    rotated: "",
    rotateRequested: "",
    intact: false,
  },
  leaf: { secretName: "leaf", pair: undefined, facts: undefined, issuer: undefined, bundle: "", intact: false },
  nowMs: Date.UTC(2026, 0, 1),
};

/**
 * The cluster as far as certificates go: the Secrets of one authority with one leaf, and what clients trust, which
 * follows what is published after a delay.
 *
 * @param options.reports whether it is known that clients have followed
 */
export function createCertificateWorld(options: { readonly trustDelayMs: number; readonly reports: boolean }) {
  let state = empty;
  let serial = 0;
  let wanted: CertificateNames = { dnsNames: ["registry"], addresses: [] };
  const issued = { authorities: 0, leaves: 0 };
  /** Fingerprint → when clients began to trust it. */
  const trusted = new Map<string, number>();
  const issue: Issue = (isAuthority, names) => {
    issued[isAuthority ? "authorities" : "leaves"]++;
    const fingerprint = `${isAuthority ? "ca" : "leaf"}-${++serial}`;
    const notBeforeMs = state.nowMs - backdateMs;
    const notAfterMs = state.nowMs + (isAuthority ? authorityLifeMs : leafLifeMs);
    return { pem: fingerprint, fingerprint, notBeforeMs, notAfterMs, names };
  };
  const spread = (fingerprint: string): Spread => {
    const fromMs = trusted.get(fingerprint);
    if (fromMs === undefined) return "unpublished";
    return options.reports && state.nowMs >= fromMs ? "reported" : "published";
  };
  const observed = () => ({ authority: state.authority, leaves: [state.leaf], spread });
  return {
    issued,
    state: () => state,
    change(next: { readonly authority?: Partial<ObservedAuthority>; readonly leaf?: Partial<ObservedLeaf> }): void {
      const { authority, leaf } = state;
      state = { ...state, authority: { ...authority, ...next.authority }, leaf: { ...leaf, ...next.leaf } };
    },
    want(next: CertificateNames): void {
      wanted = next;
    },
    pass(passedMs: number): void {
      state = { ...state, nowMs: state.nowMs + passedMs };
    },
    /** Decides and acts until nothing is left to do, then publishes. @returns the steps taken */
    settle(): readonly string[] {
      const taken: string[] = [];
      for (let round = 0; round < 12; round++) {
        const steps = decideCertificates(observed(), { names: { leaf: wanted } }, state.nowMs);
        for (const step of steps) {
          state = { ...state, ...takeStep(state, step, { issue, wanted }) };
          taken.push(step.kind === "issue-leaf" ? `issue-leaf ${step.reason}` : step.kind);
        }
      }
      followBundle(trusted, state.authority.bundle, state.nowMs + options.trustDelayMs);
      return taken;
    },
    isUnsettled: () => isUnsettled(observed(), state.nowMs),
    /** Whether a client that connects now accepts what is served. */
    isServed(): boolean {
      const fromMs = trusted.get(state.leaf.issuer?.fingerprint ?? "");
      return fromMs !== undefined && state.nowMs >= fromMs && state.nowMs < (state.leaf.facts?.notAfterMs ?? 0);
    },
  };
}

function takeStep(
  { authority, leaf, nowMs }: State,
  step: CertificateStep,
  by: { readonly issue: Issue; readonly wanted: CertificateNames },
): Partial<State> {
  const written = (record: AuthorityRecord) => ({ authority: { ...authority, ...record, intact: true } });
  switch (step.kind) {
    case "issue-authority": {
      const facts = by.issue(true, none);
      const { record, slot } = step;
      const since = { ...record.since, [facts.fingerprint]: nowMs };
      const bundle = record.bundle.toSpliced(record.current === undefined ? 0 : 1, 0, facts);
      return written({ ...record, [slot]: { facts, pair: { certificate: facts.pem, key: "" } }, bundle, since });
    }
    case "write-authority":
      return written(step.record);
    case "issue-leaf": {
      const facts = by.issue(false, by.wanted);
      return { leaf: { ...leaf, facts, issuer: authority.current?.facts, bundle: step.bundle, intact: true } };
    }
    case "write-leaf":
      return { leaf: { ...leaf, bundle: step.bundle, intact: true } };
  }
}

function followBundle(trusted: Map<string, number>, bundle: readonly CertificateFacts[], fromMs: number): void {
  const published = new Set(bundle.map(({ fingerprint }) => fingerprint));
  for (const fingerprint of published) if (!trusted.has(fingerprint)) trusted.set(fingerprint, fromMs);
  for (const fingerprint of trusted.keys()) if (!published.has(fingerprint)) trusted.delete(fingerprint);
}
