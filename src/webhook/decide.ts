import type { Decision } from "../admission/decision.ts";
import { mutate } from "../admission/mutate.ts";
import type { AdmissionRequest } from "../admission/review.ts";
import type { AdmissionWorld, SecretState } from "../admission/world.ts";
import type { Clock } from "../clock.ts";
import { ApiError, type ClusterApi } from "../cluster/api.ts";
import { resources } from "../cluster/resource.ts";
import type { ObservedStore } from "../cluster/store.ts";
import type { SecretEnsure } from "../namespace/ensure.ts";
import { type ObservedNamespace, observeNamespace } from "../namespace/observed.ts";

export type DecideNeeds = {
  readonly ensure: SecretEnsure;
  readonly namespaces: ObservedStore<ObservedNamespace>;
  readonly api: ClusterApi;
  readonly world: (namespace: ObservedNamespace, secret: SecretState) => AdmissionWorld;
  readonly clock: Clock;
};

/**
 * Joins the three steps of one admission: make sure of the pull Secret, put together what is known, decide. Only the
 * creation of a pod writes; everything else looks at what is in memory. Answers without waiting where this replica
 * has seen the Secret.
 */
export function createDecide(
  needs: DecideNeeds,
): (request: AdmissionRequest, deadlineMs: number) => Decision | Promise<Decision> {
  const { ensure, namespaces, world } = needs;

  async function decideLater(
    request: AdmissionRequest,
    pending: SecretState | Promise<SecretState>,
    deadlineMs: number,
  ): Promise<Decision> {
    const secret = await pending;
    const namespace = namespaces.get(request.namespace) ?? (await readNamespace(request.namespace, deadlineMs));
    return mutate(request, world(namespace, secret));
  }

  /** The watch lags behind a namespace that was created a moment ago; its labels decide, so they are read. */
  async function readNamespace(name: string, deadlineMs: number): Promise<ObservedNamespace> {
    const leftMs = Math.max(1, Math.floor(deadlineMs - needs.clock.monotonicMs()));
    try {
      return observeNamespace(await needs.api.get(resources.namespaces, { name }, AbortSignal.timeout(leftMs)));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return { name, uid: "", labels: {}, annotations: {}, terminating: false };
    }
  }

  return (request, deadlineMs) => {
    const writes = request.operation === "CREATE" && request.subResource === "" && !request.dryRun;
    const secret = ensure.ensure(request.namespace, { deadlineMs, dryRun: !writes });
    const namespace = namespaces.get(request.namespace);
    if (secret instanceof Promise || namespace === undefined) return decideLater(request, secret, deadlineMs);
    return mutate(request, world(namespace, secret));
  };
}
