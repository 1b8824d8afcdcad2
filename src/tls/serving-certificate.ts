import type { KubernetesObject } from "../cluster/object.ts";
import type { ObjectKey, ObservedStore } from "../cluster/store.ts";
import { type CertificatePair, isPair } from "./certificate.ts";
import { secretValue } from "./secret-data.ts";

/** What a TLS server asks for its certificate; it changes while the server runs. */
export type CertificateSource = {
  /** The certificate to serve; undefined until there is one. */
  current(): CertificatePair | undefined;
  /** Called after `current` changed. */
  onChange(handler: () => void): void;
};

/**
 * The certificate in a Secret (`tls.crt`, `tls.key`). With `whenGone: "keep"`, which is the default, a Secret that is deleted or does not hold a matching pair
 * changes nothing: the last good certificate stays served until the leader has repaired the Secret.
 */
export function createSecretCertificateSource(needs: {
  readonly secrets: ObservedStore<KubernetesObject>;
  readonly key: ObjectKey;
  /** `forget`: a Secret that is deleted ends the certificate. */
  readonly whenGone?: "keep" | "forget";
}): CertificateSource {
  const handlers: (() => void)[] = [];
  let good: CertificatePair | undefined;
  const refresh = (): boolean => {
    const secret = needs.secrets.get(needs.key);
    if (secret === undefined && needs.whenGone === "forget") {
      const had = good !== undefined;
      good = undefined;
      return had;
    }
    const pair = { certificate: secretValue(secret, "tls.crt"), key: secretValue(secret, "tls.key") };
    if (pair.certificate === good?.certificate && pair.key === good.key) return false;
    if (!isPair(pair)) return false;
    good = pair;
    return true;
  };
  needs.secrets.onChange((key) => {
    if (key === needs.key && refresh()) for (const handler of handlers) handler();
  });
  return {
    current() {
      if (good === undefined) refresh();
      return good;
    },
    onChange: (handler) => void handlers.push(handler),
  };
}
