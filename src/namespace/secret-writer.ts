import { absentVersion } from "../cluster/absent-version.ts";
import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { resources } from "../cluster/resource.ts";
import { unlessMissing } from "../cluster/unless-missing.ts";
import { managedByLabel, managedByValue } from "../config/names.ts";
import type { PullSecret } from "./desired.ts";

/** Why the API server refuses a write until somebody changes something. */
export type ForbiddenReason =
  /** A ResourceQuota of the namespace. */
  | "QuotaExceeded"
  /** An admission policy or webhook. */
  | "PolicyDenied"
  /** Our own rights. */
  | "RightsMissing";

export type ApplyOutcome =
  | { readonly kind: "created" | "updated" | "unchanged"; readonly uid: string; readonly resourceVersion: string }
  /** Another manager owns what we would write. */
  | { readonly kind: "conflict"; readonly message: string }
  /** It changed or went away meanwhile: look again. */
  | { readonly kind: "stale" }
  | { readonly kind: "forbidden"; readonly reason: ForbiddenReason; readonly message: string }
  /** It cannot be changed in place: `immutable: true`, or another `type`, which is immutable by itself. */
  | {
      readonly kind: "unchangeable";
      readonly cause: "immutable" | "type";
      readonly uid: string;
      readonly resourceVersion: string;
    }
  /** The namespace is gone or going. */
  | { readonly kind: "gone" };

export type RemoveOutcome = { readonly kind: "removed" } | { readonly kind: "stale" };

export type SecretVersion = { readonly uid: string; readonly resourceVersion: string };

export type ApplyRequest = {
  readonly secret: PullSecret;
  /**
   * The Secret as it was seen, which carries our marker: only this version is written over. undefined: it is meant to
   * be created, and nothing is written where one is there, ours or not.
   */
  readonly known: SecretVersion | undefined;
  /** Whether to take fields that another manager owns, as the leader does when it repairs what somebody edited. */
  readonly force: boolean;
};

/** How Secrets outside slipway-system are written; nothing else writes them. */
export type SecretWriter = {
  /**
   * Server-side apply of the whole Secret, one attempt: whoever calls it knows when to try again. Of two writers one
   * gets `stale`, so that nobody who lags writes older content over newer. Without `force` a Secret of somebody else
   * gives `conflict`.
   *
   * @throws ApiError for what may pass: 429, 500 and above, no answer
   */
  apply(request: ApplyRequest, signal: AbortSignal): Promise<ApplyOutcome>;
  /** Deletes exactly this version; one that is gone already counts as removed. @throws ApiError as above */
  remove(
    address: { readonly namespace: string; readonly name: string },
    known: SecretVersion,
    signal: AbortSignal,
  ): Promise<RemoveOutcome>;
};

export function createSecretWriter(needs: { readonly api: ClusterApi }): SecretWriter {
  const { api } = needs;

  async function apply(request: ApplyRequest, signal: AbortSignal): Promise<ApplyOutcome> {
    const { secret, known, force } = request;
    try {
      const applied = await api.apply(resources.secrets, secretObject(request), { force, retry: false, signal });
      const { uid = "", resourceVersion = "" } = applied.metadata;
      if (known === undefined) return { kind: "created", uid, resourceVersion };
      return { kind: resourceVersion === known.resourceVersion ? "unchanged" : "updated", uid, resourceVersion };
    } catch (error) {
      const outcome = outcomeOf(error);
      if (outcome === "invalid") return diagnose(secret, error, signal);
      return outcome;
    }
  }

  /** The metadata does not tell why a change was refused as invalid; the Secret itself does. */
  async function diagnose(secret: PullSecret, error: unknown, signal: AbortSignal): Promise<ApplyOutcome> {
    const current = await find(secret, signal);
    if (current === undefined) return { kind: "stale" };
    const { uid = "", resourceVersion = "", labels } = current.metadata;
    if (labels?.[managedByLabel] !== managedByValue) {
      return { kind: "conflict", message: `Secret ${secret.name} does not carry our marker` };
    }
    if (current.type !== secretType) return { kind: "unchangeable", cause: "type", uid, resourceVersion };
    if (current.immutable === true) return { kind: "unchangeable", cause: "immutable", uid, resourceVersion };
    throw error;
  }

  function find(secret: PullSecret, signal: AbortSignal): Promise<KubernetesObject | undefined> {
    return unlessMissing(api.get(resources.secrets, { namespace: secret.namespace, name: secret.name }, signal));
  }

  return {
    apply,
    async remove(address, known, signal) {
      try {
        await api.delete(resources.secrets, address, { preconditions: known, signal });
        return { kind: "removed" };
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return { kind: "removed" };
        if (error instanceof ApiError && error.status === 409) return { kind: "stale" };
        throw error;
      }
    },
  };
}

const secretType = "kubernetes.io/dockerconfigjson";

function secretObject({ secret, known }: ApplyRequest): KubernetesObject {
  const data = Object.entries(secret.data).map(([key, value]) => [key, Buffer.from(value).toString("base64")]);
  return {
    metadata: {
      name: secret.name,
      namespace: secret.namespace,
      labels: { [managedByLabel]: managedByValue },
      annotations: secret.annotations,
      // With the uid, one that was deleted meanwhile is not made again by accident.
      ...(known === undefined ? {} : { uid: known.uid }),
      resourceVersion: known?.resourceVersion ?? absentVersion,
    },
    type: secretType,
    data: Object.fromEntries(data),
  };
}

/** @throws what may pass by itself, and what is no answer of the API server */
function outcomeOf(error: unknown): ApplyOutcome | "invalid" {
  if (!(error instanceof ApiError)) throw error;
  const { status, causes, message } = error;
  if (status === 409) {
    return causes.includes("FieldManagerConflict") ? { kind: "conflict", message } : { kind: "stale" };
  }
  if (status === 404 || causes.includes("NamespaceTerminating")) return { kind: "gone" };
  // A ValidatingAdmissionPolicy answers 422 unless it says otherwise, a webhook whatever it likes.
  if (status >= 400 && status < 500 && /denied (the )?request/.test(message)) {
    return { kind: "forbidden", reason: "PolicyDenied", message };
  }
  if (status === 403) {
    return { kind: "forbidden", reason: /exceeded quota/.test(message) ? "QuotaExceeded" : "RightsMissing", message };
  }
  if (status === 422) return "invalid";
  throw error;
}
