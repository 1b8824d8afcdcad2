import { createMemoryStore, type MemoryStore } from "../../src/cluster/memory-store.ts";
import type { PullSecret } from "../../src/namespace/desired.ts";
import type { ObservedSecret } from "../../src/namespace/observed.ts";
import type { ApplyOutcome, ApplyRequest, SecretVersion, SecretWriter } from "../../src/namespace/secret-writer.ts";

/** A SecretWriter over Secrets in memory, and the store that a watch on them would fill. */
export type MemorySecrets = {
  readonly writer: SecretWriter;
  /** Follows every write at once. */
  readonly store: MemoryStore<ObservedSecret>;
  /** What was asked of the writer, in order: `apply a`, `remove a`. */
  readonly calls: string[];
  addNamespace(name: string): void;
  /** The next apply in this namespace answers so, or throws so. */
  failNext(namespace: string, failure: ApplyOutcome | Error): void;
  contentOf(namespace: string): string | undefined;
  /** As if somebody else had changed the content: our manager owns no key of it any more. */
  edit(namespace: string): SecretVersion;
  place(secret: ObservedSecret): void;
};

/** Server-side apply as far as SecretWriter sees it: uids, versions, and who owns the content. */
export function createMemorySecrets(name = "slipway-pull"): MemorySecrets {
  const store = createMemoryStore<ObservedSecret>();
  const namespaces = new Set<string>();
  const contents = new Map<string, string>();
  const failures = new Map<string, ApplyOutcome | Error>();
  const calls: string[] = [];
  let version = 0;

  const put = (secret: Omit<ObservedSecret, "resourceVersion">): ObservedSecret => {
    const stored = { ...secret, resourceVersion: String(++version) };
    store.set(`${secret.namespace}/${name}`, stored);
    return stored;
  };

  const refuse = ({ known, force }: ApplyRequest, current: ObservedSecret | undefined): ApplyOutcome | undefined => {
    if (known !== undefined && known.uid !== current?.uid) return { kind: "stale" };
    const isOthers = current?.ownedDataKeys.length === 0;
    if (isOthers && !force) return { kind: "conflict", message: "another manager" };
    return known?.resourceVersion === current?.resourceVersion ? undefined : { kind: "stale" };
  };

  const write = (secret: PullSecret, current: ObservedSecret | undefined): ApplyOutcome => {
    const content = JSON.stringify([secret.data, secret.annotations]);
    if (current !== undefined && contents.get(secret.namespace) === content) {
      return { kind: "unchanged", uid: current.uid, resourceVersion: current.resourceVersion };
    }
    contents.set(secret.namespace, content);
    const { uid, resourceVersion } = put({
      namespace: secret.namespace,
      name,
      uid: current?.uid ?? `uid-${version}`,
      ours: true,
      deleting: false,
      revision: secret.revision,
      contentHash: secret.contentHash,
      namespaceUid: secret.namespaceUid,
      ownedDataKeys: Object.keys(secret.data).sort(),
    });
    return { kind: current === undefined ? "created" : "updated", uid, resourceVersion };
  };

  return {
    store,
    calls,
    writer: {
      async apply(request) {
        const { namespace } = request.secret;
        calls.push(`apply ${namespace}`);
        const failure = failures.get(namespace);
        failures.delete(namespace);
        if (failure instanceof Error) throw failure;
        if (failure !== undefined) return failure;
        if (!namespaces.has(namespace)) return { kind: "gone" };
        const current = store.get(`${namespace}/${name}`);
        return refuse(request, current) ?? write(request.secret, current);
      },
      async remove({ namespace }, known) {
        calls.push(`remove ${namespace}`);
        const current = store.get(`${namespace}/${name}`);
        if (current === undefined) return { kind: "removed" };
        if (current.uid !== known.uid || current.resourceVersion !== known.resourceVersion) return { kind: "stale" };
        contents.delete(namespace);
        store.delete(`${namespace}/${name}`);
        return { kind: "removed" };
      },
    },
    addNamespace: (namespace) => {
      namespaces.add(namespace);
    },
    failNext: (namespace, failure) => {
      failures.set(namespace, failure);
    },
    contentOf: (namespace) => contents.get(namespace),
    edit(namespace) {
      const current = store.get(`${namespace}/${name}`);
      if (current === undefined) throw new Error(`no Secret in ${namespace}`);
      contents.set(namespace, "edited");
      const { uid, resourceVersion } = put({ ...current, ownedDataKeys: [] });
      return { uid, resourceVersion };
    },
    place(secret) {
      contents.set(secret.namespace, "placed");
      put(secret);
    },
  };
}
