import type { Clock } from "../clock.ts";
import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { Resource } from "../cluster/resource.ts";
import { canonicalJson } from "../config/compiled-secret.ts";
import type { Condition } from "../config/condition.ts";

/** A condition before it is dated. */
export type ConditionFact = Pick<Condition, "type" | "status" | "reason" | "message">;

export type StatusWriter = {
  /**
   * Writes the status of one object when it differs from what was observed: server-side apply on the status
   * subresource, `observedGeneration` and transition times filled in.
   *
   * @returns whether a write was needed
   * @throws ApiError, but not when the object is gone
   */
  write(
    resource: Resource,
    observed: KubernetesObject,
    desired: { readonly conditions: readonly ConditionFact[]; readonly fields: Readonly<Record<string, unknown>> },
    signal: AbortSignal,
  ): Promise<boolean>;
};

export function createStatusWriter(needs: { readonly api: ClusterApi; readonly clock: Clock }): StatusWriter {
  const { api, clock } = needs;
  return {
    async write(resource, observed, desired, signal) {
      const { name, generation } = observed.metadata;
      const before = (observed.status ?? {}) as { readonly conditions?: readonly Condition[] };
      const now = new Date(clock.nowMs()).toISOString().replace(/\.\d+Z$/, "Z");
      const status = {
        ...desired.fields,
        ...(generation === undefined ? {} : { observedGeneration: generation }),
        conditions: dateConditions(desired.conditions, before.conditions ?? [], { now, generation }),
      };
      if (canonicalJson(status) === canonicalJson(before)) return false;
      try {
        await api.apply(resource, { metadata: { name }, status }, { subresource: "status", force: true, signal });
        return true;
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return false;
        throw error;
      }
    },
  };
}

/** `lastTransitionTime` moves only when `status` does. */
export function dateConditions(
  facts: readonly ConditionFact[],
  before: readonly Condition[],
  at: { readonly now: string; readonly generation: number | undefined },
): readonly Condition[] {
  return facts.map((fact) => {
    const previous = before.find((condition) => condition.type === fact.type);
    return {
      ...fact,
      ...(at.generation === undefined ? {} : { observedGeneration: at.generation }),
      lastTransitionTime: previous?.status === fact.status ? previous.lastTransitionTime : at.now,
    };
  });
}
