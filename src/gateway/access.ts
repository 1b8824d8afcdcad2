import { matchesGlob } from "../reference/glob.ts";
import type { Action, Identity } from "./identity.ts";

export type AccessPolicy = { readonly sharedRepositories: readonly string[] };

/** What a SubjectAccessReview is asked about: group `slipway.dev`, resource `repositories`. */
export type RepositoryQuestion = {
  readonly verb: Action;
  /** undefined: cluster-scoped, for mirrored hosts. */
  readonly namespace: string | undefined;
  /** "" means all of them; only ever asked for listing. */
  readonly name: string;
};

export type AccessVerdict =
  | { readonly kind: "allowed" }
  | { readonly kind: "refused" }
  /** The cluster's own authorization decides. */
  | { readonly kind: "review"; readonly question: RepositoryQuestion };

const allowed: AccessVerdict = { kind: "allowed" };
const refused: AccessVerdict = { kind: "refused" };

/**
 * The matrix identity × action × repository (docs/registry.md). A push asks twice, for `pull` and for `push`, as
 * Distribution does.
 *
 * @param repository a name that follows the grammar, see isRepositoryName
 */
export function decideAccess(
  identity: Identity,
  action: Action,
  repository: string,
  policy: AccessPolicy,
): AccessVerdict {
  if (identity.kind === "admin") return allowed;
  // A path of one segment has no owner; asked about, it would be the empty name, which means all of a namespace.
  if (!repository.includes("/")) return refused;
  if (identity.kind === "user") {
    const grants = identity.rules.some(
      (rule) => rule.actions.includes(action) && matchesGlob(rule.repository, repository),
    );
    return grants ? allowed : refused;
  }
  if (action === "pull" && isShared(repository, policy)) return allowed;
  switch (identity.kind) {
    case "shared":
      return refused;
    case "namespace":
      return decideForNamespace(identity, action, repository);
    case "serviceAccount":
      return askAbout(action, repository);
  }
}

/** What the catalogue asks before it lists a repository; for ServiceAccounts once per first segment. */
export function decideListing(identity: Identity, repository: string, policy: AccessPolicy): AccessVerdict {
  const verdict = decideAccess(identity, "pull", repository, policy);
  return verdict.kind === "review" ? { kind: "review", question: { ...verdict.question, name: "" } } : verdict;
}

export function isShared(repository: string, policy: AccessPolicy): boolean {
  return repository.includes("/") && policy.sharedRepositories.some((glob) => matchesGlob(glob, repository));
}

function decideForNamespace(
  identity: Extract<Identity, { kind: "namespace" }>,
  action: Action,
  repository: string,
): AccessVerdict {
  const [first] = repository.split("/", 1);
  const isOwn = first === identity.namespace && isNamespaceName(first);
  return isOwn && (action === "pull" || identity.purpose === "push") ? allowed : refused;
}

function askAbout(verb: Action, repository: string): AccessVerdict {
  const [first = "", ...rest] = repository.split("/");
  if (isNamespaceName(first)) return { kind: "review", question: { verb, namespace: first, name: rest.join("/") } };
  if (isMirroredHost(first)) return { kind: "review", question: { verb, namespace: undefined, name: repository } };
  return refused;
}

/** A DNS label (RFC 1123). What else a segment may be has `.` or `_`, or is too long. */
function isNamespaceName(segment: string): boolean {
  return segment.length <= 63 && /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(segment);
}

/** The first segment of a mirrored image: a host with a dot or a port, e.g. `docker.io` or `reg_5000`. */
function isMirroredHost(segment: string): boolean {
  return /[._]/.test(segment);
}
