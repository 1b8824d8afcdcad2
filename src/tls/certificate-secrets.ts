import type { Clock } from "../clock.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { ObservedStore } from "../cluster/store.ts";
import type { CertificateSecrets } from "./certificate-group.ts";
import type { CertificateWriter } from "./certificate-writer.ts";

/** A store that shows nothing new for so long after a write never saw it (the object came and went in a relist). */
const overlayMs = 30_000;

/**
 * The certificate Secrets as the store shows them, with our own last write laid over until the store has moved on:
 * right after a write the store still shows what was there before.
 */
export function createCertificateSecrets(needs: {
  readonly secrets: ObservedStore<KubernetesObject>;
  readonly namespace: string;
  readonly writer: CertificateWriter;
  readonly clock: Clock;
}): CertificateSecrets {
  const written = new Map<string, Overlay>();
  const stored = (name: string) => needs.secrets.get(`${needs.namespace}/${name}`);
  const versionOf = (object: KubernetesObject | undefined) =>
    `${object?.metadata.uid ?? ""}/${object?.metadata.resourceVersion ?? ""}`;
  const read = (name: string): KubernetesObject | undefined => {
    const seen = stored(name);
    const own = written.get(name);
    if (own === undefined) return seen;
    const isFresh = needs.clock.monotonicMs() - own.atMs < overlayMs;
    if (isFresh && versionOf(seen) === own.before) return own.object;
    written.delete(name);
    return seen;
  };
  return {
    read,
    async write(name, content, signal) {
      const before = versionOf(stored(name));
      const existing = read(name);
      written.delete(name);
      const object = await needs.writer.write(name, existing, content, signal);
      written.set(name, { before, object, atMs: needs.clock.monotonicMs() });
    },
  };
}

type Overlay = { readonly before: string; readonly object: KubernetesObject; readonly atMs: number };
