import { pullSecretName } from "../config/names.ts";
import type { PodReading } from "./pod.ts";
import type { SecretState } from "./world.ts";

/** What the pod says of pull Secrets, and whether ours can serve it. */
export type PullSecretReading = {
  /** `spec.imagePullSecrets` as found. */
  readonly list: unknown;
  /** The names in it, in order. */
  readonly names: readonly string[];
  readonly isNamed: boolean;
  /** Whether our name may be appended: only on CREATE, to a list or to nothing. */
  readonly canAppend: boolean;
  /** Why images of the local registry could not be pulled with it, completing "because …"; undefined: they can. */
  readonly problem: string | undefined;
  /** The problem passes by itself: the pod names the Secret, or is made to, and the Secret is on its way. */
  readonly isPassing: boolean;
};

/** Nothing would be in the Secret: ordinary, and no reason to warn of it alone. */
export const noCredential = "there is no credential for this namespace";

/**
 * @param isCreate on UPDATE nothing is added: a pod's list cannot change, so it is only checked
 * @see https://kubernetes.io/docs/tasks/run-application/update-api-object-kubectl-patch/ (pod updates change images only)
 */
export function readPullSecrets(pod: PodReading, state: SecretState, isCreate: boolean): PullSecretReading {
  const list = pod.spec.imagePullSecrets;
  const names = namesIn(list);
  const isNamed = names.includes(pullSecretName);
  const isList = list === undefined || list === null || Array.isArray(list);
  // Also a Secret that cannot be relied on now: it may come later, and then nothing can be added to the pod.
  const canAppend = isCreate && isList && state.kind !== "empty";
  const problem = problemOf(state, { isCreate, isNamed, isList });
  const isPassing = state.kind === "unavailable" && state.isPassing === true && (isNamed || canAppend);
  return { list, names, isNamed, canAppend, problem, isPassing };
}

function problemOf(
  state: SecretState,
  pod: { readonly isCreate: boolean; readonly isNamed: boolean; readonly isList: boolean },
): string | undefined {
  if (state.kind === "unavailable") return `the pull Secret ${pullSecretName} cannot be relied on: ${state.reason}`;
  if (state.kind === "empty") return noCredential;
  if (pod.isNamed) return undefined;
  if (!pod.isCreate)
    return `the pod does not name ${pullSecretName} in its imagePullSecrets, and nothing can be added to a pod that exists`;
  return pod.isList ? undefined : "spec.imagePullSecrets is not a list";
}

function namesIn(list: unknown): string[] {
  if (!Array.isArray(list)) return [];
  const names: string[] = [];
  for (const entry of list) {
    const name = typeof entry === "object" && entry !== null ? (entry as { name?: unknown }).name : undefined;
    if (typeof name === "string") names.push(name);
  }
  return names;
}
