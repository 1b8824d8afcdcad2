import type { KubernetesObject } from "../cluster/object.ts";
import type { Failure } from "./strategy.ts";

/** What kubelet's Events say about the pulls of one pod. */
export type PullState =
  /** Every container's image was pulled. */
  | { readonly kind: "pulled" }
  /** A pull was tried and failed; kubelet tries again by itself. `words` are the runtime's. */
  | { readonly kind: "failing"; readonly words: string }
  /** Nothing yet, or something before the pull: `words` of the last warning, "" for none. */
  | { readonly kind: "waiting"; readonly words: string };

const failedPull = /^Failed to pull image "[^"]*": /;
const wordsLimit = 400;

/**
 * Reads kubelet's Events (events.k8s.io/v1) about one pod. `Pulled` with "Successfully pulled" is the proof: an image
 * that was on the node already is told by the same reason with other words.
 *
 * @param containers names of all containers of the pod
 * @see https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/images/image_manager.go
 */
export function readPulls(events: readonly KubernetesObject[], containers: readonly string[]): PullState {
  const told = events.map(readEvent);
  const pulled = new Set(
    told.filter(({ reason, note }) => reason === "Pulled" && note.startsWith("Successfully pulled")).map(containerOf),
  );
  if (containers.every((name) => pulled.has(name))) return { kind: "pulled" };
  const failed = told.findLast((event) => failedPull.test(event.note) && !pulled.has(containerOf(event)));
  if (failed !== undefined) return { kind: "failing", words: cut(failed.note.replace(failedPull, "")) };
  const warning = told.findLast(
    ({ type, reason }) => type === "Warning" && reason !== "Failed" && reason !== "BackOff",
  );
  return { kind: "waiting", words: warning === undefined ? "" : cut(`${warning.reason}: ${warning.note}`) };
}

type Told = { readonly reason: string; readonly note: string; readonly type: string; readonly fieldPath: string };

function readEvent(event: KubernetesObject): Told {
  const regarding = event.regarding as { readonly fieldPath?: unknown } | undefined;
  return {
    reason: text(event.reason),
    note: text(event.note),
    type: text(event.type),
    fieldPath: text(regarding?.fieldPath),
  };
}

/** `spec.containers{name}` */
function containerOf({ fieldPath }: Told): string {
  return /\{(.+)\}$/.exec(fieldPath)?.[1] ?? "";
}

/** Whether the runtime's words say that the registry refused the login, as it does with another namespace's image. */
export function isRefusal(words: string): boolean {
  return /insufficient_scope|failed to authorize|unauthorized|authentication required|\b40[13]\b|denied/i.test(words);
}

/** Whose pull it was, and by what it logged in. */
type PullPlace = { readonly namespace: string; readonly login: string };

const meanings: readonly {
  readonly words: RegExp;
  readonly reason: string;
  readonly advice: string | ((place: PullPlace) => string);
}[] = [
  {
    // Go's HTTP client names a refused CONNECT by its status text alone, and a proxy that is away by `proxyconnect`.
    words:
      /proxyconnect|proxy authentication|\bproxy\b.*(refused|timeout|forbidden)|": (Forbidden|Bad Gateway|Gateway Timeout|Service Unavailable|Method Not Allowed|Bad Request)\s*$|\b407\b/i,
    reason: "Proxy",
    advice:
      "the runtime goes through a proxy: add the registry's ClusterIP and name to NO_PROXY of the runtime's service on this node",
  },
  {
    words: /x509|certificate|tls: (?!first record)/i,
    reason: "WrongCertificate",
    advice: "the runtime does not trust the registry's certificate; look at certs.d and at the node's clock",
  },
  {
    words: /no such host|server misbehaving|name resolution|NXDOMAIN/i,
    reason: "NameUnknown",
    advice: "the runtime resolves the name instead of using certs.d; check config_path, or use LoopbackProxy",
  },
  {
    words: /server gave HTTP response|first record does not look like a TLS/i,
    reason: "NotARegistry",
    advice: "something else than the registry answers there",
  },
  {
    words: /connection refused|i\/o timeout|deadline exceeded|no route to host|unreachable|connection reset|\bEOF\b/i,
    reason: "Unreachable",
    advice: "the runtime does not reach the registry; check kube-proxy, network policies, and a firewall on the node",
  },
  {
    words: /insufficient_scope|failed to authorize|unauthorized|denied|\b40[13]\b/i,
    reason: "LoginRefused",
    advice: (place) => `the registry refused the pull login of ${place.namespace}; look at ${place.login}`,
  },
  {
    words: /not found|manifest unknown/i,
    reason: "ImageUnknown",
    advice: "what answered does not have the image that was just pushed: another registry, or a mirror, is in between",
  },
  { words: /\b5\d\d\b/, reason: "Unavailable", advice: "the registry failed; look at its pod" },
];

/** What a failed pull means and what to do, from the runtime's own words, which are part of the message. */
export function explainPull(words: string, place: PullPlace): Failure {
  const meaning = meanings.find((entry) => entry.words.test(words));
  const { reason, advice } = meaning ?? { reason: "PullFailed", advice: "look at the runtime's log on this node" };
  const told = typeof advice === "string" ? advice : advice(place);
  return { reason, message: `${told}; the runtime said: ${words}` };
}

function cut(words: string): string {
  const plain = words.replace(/\p{Cc}+/gu, " ").trim();
  return plain.length <= wordsLimit ? plain : `${plain.slice(0, 120)} … ${plain.slice(-(wordsLimit - 123))}`;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
