import type { KubernetesObject } from "../cluster/object.ts";
import { managedByLabel, managedByValue } from "../config/names.ts";
import { type CertificateFacts, type CertificatePair, canSign, readBundle, readCertificate } from "./certificate.ts";
import { secretValue } from "./secret-data.ts";

/** A value of this annotation that was not there at the last rotation asks for a new CA. */
export const rotateAnnotation = "slipway.dev/rotate";

/** A CA whose key we hold. */
export type HeldAuthority = { readonly pair: CertificatePair; readonly facts: CertificateFacts };

/** A Secret with a certificate authority (`slipway-ca`, `slipway-token-ca`), as far as it could be read. */
export type AuthorityRecord = {
  /** Signs leaves. Absent when the Secret is, or when what is in it cannot sign. */
  readonly current: HeldAuthority | undefined;
  /** Made known and waiting to become `current`. */
  readonly next: HeldAuthority | undefined;
  /** Everything that has to be trusted: current, next, and those of which a leaf may still be served. */
  readonly bundle: readonly CertificateFacts[];
  /** Fingerprint → when the CA was first written here, milliseconds since the epoch. */
  readonly since: Readonly<Record<string, number>>;
  /** The value of the rotate annotation that has been honoured. */
  readonly rotated: string;
};

export type ObservedAuthority = AuthorityRecord & {
  /** The value of the rotate annotation as it stands. */
  readonly rotateRequested: string;
  /** Type and marker are as we write them. */
  readonly intact: boolean;
};

/** Reads the Secret of an authority; an absent or damaged one gives a record without what could not be read. */
export function readAuthoritySecret(secret: KubernetesObject | undefined): ObservedAuthority {
  return {
    current: readHeld(secret, "ca"),
    next: readHeld(secret, "next"),
    bundle: readBundle(secretValue(secret, "bundle.crt")),
    ...readState(secretValue(secret, "state.json")),
    rotateRequested: secret?.metadata.annotations?.[rotateAnnotation] ?? "",
    intact: isIntact(secret),
  };
}

/** `type` and `data` and the marker of an authority's Secret; the same record gives the same bytes. */
export function authoritySecret(record: AuthorityRecord): Pick<KubernetesObject, "type" | "data"> {
  const state = { rotated: record.rotated, since: Object.fromEntries(Object.entries(record.since).sort()) };
  return {
    type: "Opaque",
    data: encode({
      "ca.crt": record.current?.pair.certificate,
      "ca.key": record.current?.pair.key,
      "next.crt": record.next?.pair.certificate,
      "next.key": record.next?.pair.key,
      "bundle.crt": bundlePem(record.bundle),
      "state.json": JSON.stringify(state),
    }),
  };
}

/** One PEM text of several certificates, in their order. */
export function bundlePem(bundle: readonly CertificateFacts[]): string {
  return bundle.map((facts) => facts.pem.trimEnd()).join("\n") + (bundle.length === 0 ? "" : "\n");
}

/** Whether a certificate Secret has the type and the marker that we write. */
export function isIntact(secret: KubernetesObject | undefined): boolean {
  return secret?.type === "Opaque" && secret.metadata.labels?.[managedByLabel] === managedByValue;
}

export function encode(values: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const present = Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(present.map(([key, value]) => [key, Buffer.from(value).toString("base64")]));
}

function readHeld(secret: KubernetesObject | undefined, name: "ca" | "next"): HeldAuthority | undefined {
  const pair = { certificate: secretValue(secret, `${name}.crt`), key: secretValue(secret, `${name}.key`) };
  const facts = readCertificate(pair.certificate);
  return facts !== undefined && canSign(pair) ? { pair, facts } : undefined;
}

function readState(text: string): Pick<AuthorityRecord, "since" | "rotated"> {
  const empty = { since: {}, rotated: "" };
  try {
    const { since, rotated } = JSON.parse(text) as { since?: unknown; rotated?: unknown };
    if (typeof since !== "object" || since === null || typeof rotated !== "string") return empty;
    const times = Object.entries(since).filter((entry): entry is [string, number] => typeof entry[1] === "number");
    return { since: Object.fromEntries(times), rotated };
  } catch {
    // Absent or damaged: every CA counts as new, which only makes a rotation wait longer.
    return empty;
  }
}
