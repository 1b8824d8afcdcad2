import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import type { KubernetesObject } from "../../src/cluster/object.ts";
import { managedByLabel, managedByValue } from "../../src/config/names.ts";
import { createLog } from "../../src/log.ts";
import { type CertificatePair, certificateNames, isIssuedBy, readBundle } from "../../src/tls/certificate.ts";
import { createCertificateGroup } from "../../src/tls/certificate-group.ts";
import { secretValue } from "../../src/tls/secret-data.ts";
import { createManualClock } from "./clock.ts";

/** Longer than the kubelet takes to bring a mounted Secret up to date. */
const followMs = 100_000;

/**
 * One authority with one leaf as the keeper keeps them, with real certificates in Secrets that lie in memory, on a
 * clock that the test moves; and the clients, of whom the slowest follow what is published after 100 s.
 */
export function createCertificateStage(options: { readonly reports: boolean }) {
  const clock = createManualClock(Date.UTC(2026, 0, 1));
  const secrets = new Map<string, KubernetesObject>();
  /** What was published, and when, newest last. */
  const published: { readonly bundle: string; readonly atMs: number }[] = [];
  const lines: string[] = [];
  let writes = 0;
  const group = createCertificateGroup({
    authoritySecretName: "ca",
    commonName: "slipway CA",
    leaves: { leaf: () => certificateNames(["registry.example.com"]) },
    spread(fingerprint) {
      const since = published.find(({ bundle }) => readBundle(bundle).some((each) => each.fingerprint === fingerprint));
      if (since === undefined) return "unpublished";
      return options.reports && clock.monotonicMs() - since.atMs >= followMs ? "reported" : "published";
    },
    secrets: {
      read: (name) => secrets.get(name),
      async write(name, content) {
        writes++;
        const { annotations = {} } = secrets.get(name)?.metadata ?? {};
        secrets.set(name, {
          metadata: { name, labels: { [managedByLabel]: managedByValue }, annotations },
          ...content,
        });
      },
    },
    clock,
    log: createLog({ level: "warn" }, { write: (line: string) => void lines.push(line) }),
  });

  /** The bundle of the slowest client. */
  const trusted = () => published.findLast(({ atMs }) => clock.monotonicMs() - atMs >= followMs)?.bundle ?? "";
  const served = () => secretValue(secrets.get("leaf"), "tls.crt");

  /** A client of today's or the slowest one's trust connects. */
  function assertServed(): void {
    const leaf = served();
    const { validFromDate, validToDate } = new X509Certificate(leaf);
    const nowMs = clock.nowMs();
    const at = clock.nowMs() > 0 ? new Date(nowMs).toISOString() : "";
    assert.ok(validFromDate.getTime() <= nowMs && nowMs < validToDate.getTime(), `the leaf is not valid at ${at}`);
    for (const bundle of [trusted(), published.at(-1)?.bundle ?? ""]) {
      const issuer = readBundle(bundle).find((authority) => isIssuedBy(leaf, authority.pem));
      assert.ok(issuer !== undefined && nowMs < issuer.notAfterMs, `the leaf does not verify at ${at}`);
    }
  }

  return {
    clock,
    secrets,
    lines,
    served,
    assertServed,
    writes: () => writes,
    bundle: () => readBundle(published.at(-1)?.bundle ?? ""),
    authority: () => secretValue(secrets.get("ca"), "ca.crt"),
    /** One pass of the keeper. @returns whether it wants to look again soon */
    async settle(): Promise<boolean> {
      const { bundle, unsettled } = await group.settle(new AbortController().signal);
      if (published.at(-1)?.bundle !== bundle) published.push({ bundle, atMs: clock.monotonicMs() });
      return unsettled;
    },
    /** Puts values into a Secret by hand; `undefined` takes the whole Secret away. */
    put(name: "ca" | "leaf", values: Readonly<Record<string, string>> | undefined): void {
      if (values === undefined) return void secrets.delete(name);
      const data = Object.fromEntries(
        Object.entries(values).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
      );
      const before = secrets.get(name);
      const metadata = before?.metadata ?? { name };
      secrets.set(name, { ...before, type: "Opaque", metadata, data: { ...(before?.data as object), ...data } });
    },
    annotate(annotations: Readonly<Record<string, string>>): void {
      const before = secrets.get("ca") ?? assert.fail();
      secrets.set("ca", { ...before, metadata: { ...before.metadata, annotations } });
    },
  };
}

export function authorityData(pair: CertificatePair): Readonly<Record<string, string>> {
  return { "ca.crt": pair.certificate, "ca.key": pair.key };
}
