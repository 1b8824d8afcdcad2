import type { Decision } from "../admission/decision.ts";
import { mutate, needsPullSecret } from "../admission/mutate.ts";
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
  readonly world: (namespace: ObservedNamespace) => Omit<AdmissionWorld, "secret">;
  readonly clock: Clock;
};

/**
 * Joins the three steps of one admission: put together what is known, make sure of the pull Secret, decide. Only the
 * creation of a pod that is served writes; everything else looks at what is in memory. Answers without waiting where
 * this replica has seen the Secret.
 */
export function createDecide(
  needs: DecideNeeds,
): (request: AdmissionRequest, deadlineMs: number) => Decision | Promise<Decision> {
  const { ensure, namespaces, world } = needs;

  function decideIn(
    namespace: ObservedNamespace,
    request: AdmissionRequest,
    deadlineMs: number,
  ): Decision | Promise<Decision> {
    const known = world(namespace);
    const onlyLook = request.dryRun || !needsPullSecret(request, known);
    const secret = ensure.ensure(namespace.name, { deadlineMs, dryRun: onlyLook });
    const conclude = (state: SecretState) => mutate(request, { ...known, secret: state });
    return secret instanceof Promise ? secret.then(conclude) : conclude(secret);
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
    const namespace = namespaces.get(request.namespace);
    if (namespace !== undefined) return decideIn(namespace, request, deadlineMs);
    return readNamespace(request.namespace, deadlineMs).then((read) => decideIn(read, request, deadlineMs));
  };
}
