import type { SecretState } from "../admission/world.ts";
import type { Clock } from "../clock.ts";
import type { ObservedStore } from "../cluster/store.ts";
import type { Compiled } from "../config/compiled.ts";
import type { ObservedNamespace, ObservedSecret } from "./observed.ts";

/** What a judgement was made of; compared by identity, since stores replace what changes. */
export type Seen = {
  readonly state: Compiled;
  readonly namespace: ObservedNamespace;
  readonly secret: ObservedSecret | undefined;
};

export type WrittenContent = { readonly namespaceUid: string; readonly revision: number };

/** What one replica remembers between admissions; every part is bounded. */
export type EnsureMemory = {
  noteAdmission(namespace: string): void;
  /** The latest first. */
  recent(): readonly string[];
  /** The answer given before from exactly the same objects. */
  judged(namespace: string, seen: Seen): SecretState | undefined;
  judge(namespace: string, seen: Seen, answer: SecretState): void;
  /** A Secret that this replica wrote and whose watch event has not come yet. */
  noteWritten(namespace: string, content: WrittenContent): void;
  wasWritten(namespace: string, content: WrittenContent): boolean;
  /**
   * The last refusal while its back-off lasts and nothing that we know of changed: the API is not asked again so soon.
   */
  refusal(namespace: string, state: Compiled | undefined): SecretState | undefined;
  noteRefusal(namespace: string, state: Compiled | undefined, answer: SecretState): void;
  noteSuccess(namespace: string): void;
};

type Refusal = {
  readonly answer: SecretState;
  readonly state: Compiled | undefined;
  readonly untilMs: number;
  readonly count: number;
};

const limit = 1_000;
const writtenForMs = 30_000;
const firstBackOffMs = 500;
const longestBackOffMs = 30_000;

export function createEnsureMemory(needs: {
  readonly clock: Clock;
  readonly namespaces: ObservedStore<ObservedNamespace>;
  readonly pullSecrets: ObservedStore<ObservedSecret>;
}): EnsureMemory {
  const { clock, namespaces, pullSecrets } = needs;
  const admissions = createRecent<true>(limit);
  const judgements = createRecent<{ readonly seen: Seen; readonly answer: SecretState }>(limit * 10);
  const written = createRecent<WrittenContent & { readonly atMs: number }>(limit);
  const refusals = createRecent<Refusal>(limit);

  namespaces.onChange((namespace) => refusals.delete(namespace));

  pullSecrets.onChange((key) => {
    const namespace = key.slice(0, key.indexOf("/"));
    written.delete(namespace);
    refusals.delete(namespace);
  });

  return {
    noteAdmission: (namespace) => admissions.set(namespace, true),
    recent: () => admissions.keys().reverse(),
    judged(namespace, seen) {
      const last = judgements.get(namespace);
      const isSame =
        last?.seen.state === seen.state && last.seen.namespace === seen.namespace && last.seen.secret === seen.secret;
      return isSame ? last.answer : undefined;
    },
    judge: (namespace, seen, answer) => judgements.set(namespace, { seen, answer }),
    noteWritten: (namespace, content) => written.set(namespace, { ...content, atMs: clock.monotonicMs() }),
    wasWritten(namespace, { namespaceUid, revision }) {
      const last = written.get(namespace);
      return (
        last !== undefined &&
        last.namespaceUid === namespaceUid &&
        last.revision >= revision &&
        clock.monotonicMs() - last.atMs < writtenForMs
      );
    },
    refusal(namespace, state) {
      const last = refusals.get(namespace);
      if (last === undefined || last.state !== state) return undefined;
      return clock.monotonicMs() < last.untilMs ? last.answer : undefined;
    },
    noteRefusal(namespace, state, answer) {
      const count = (refusals.get(namespace)?.count ?? 0) + 1;
      const backOffMs = Math.min(longestBackOffMs, firstBackOffMs * 2 ** Math.min(count - 1, 16));
      refusals.set(namespace, { answer, state, count, untilMs: clock.monotonicMs() + backOffMs });
    },
    noteSuccess: (namespace) => refusals.delete(namespace),
  };
}

type Recent<T> = {
  get(key: string): T | undefined;
  set(key: string, value: T): void;
  delete(key: string): void;
  /** The oldest first. */
  keys(): string[];
};

/** A map that forgets what was set longest ago. */
function createRecent<T>(size: number): Recent<T> {
  const entries = new Map<string, T>();
  return {
    get: (key) => entries.get(key),
    set(key, value) {
      entries.delete(key);
      entries.set(key, value);
      const [oldest] = entries.size > size ? entries.keys() : [];
      if (oldest !== undefined) entries.delete(oldest);
    },
    delete: (key) => {
      entries.delete(key);
    },
    keys: () => [...entries.keys()],
  };
}
