import type { Clock } from "../clock.ts";
import { ApiError, type ClusterApi } from "./api.ts";
import { formatMicroTime } from "./micro-time.ts";
import { isRecord } from "./narrow.ts";
import type { KubernetesObject } from "./object.ts";
import { resources } from "./resource.ts";

/** The Lease object of an election: what was seen of it last, and the three ways in which we write it. */
export type LeaseRecord = {
  /** @returns whether we hold it now. @throws ApiError other than a conflict */
  acquire(signal: AbortSignal): Promise<boolean>;
  /** @returns false on a conflict, or when another holds it. @throws ApiError other than that */
  renew(signal: AbortSignal): Promise<boolean>;
  /** Gives it up, for another to take at once. @throws ApiError */
  release(signal: AbortSignal): Promise<void>;
};

type RecordNeeds = {
  readonly api: ClusterApi;
  readonly namespace: string;
  readonly name: string;
  readonly identity: string;
  readonly clock: Clock;
};

type LeaseSpec = {
  readonly holderIdentity: string;
  readonly leaseDurationSeconds: number;
  readonly acquireTime: string;
  readonly renewTime: string;
  readonly leaseTransitions: number;
};

/** @param options.durationMs how long a record that does not change keeps others away */
export function createLeaseRecord(needs: RecordNeeds, options: { readonly durationMs: number }): LeaseRecord {
  const { api, namespace, name, identity, clock } = needs;
  const address = { namespace, name };
  let seen: { readonly object: KubernetesObject; readonly spec: LeaseSpec } | undefined;
  let changedAtMs = 0;
  /** After a write without an answer nobody knows which version is there. */
  let isUncertain = false;

  const remember = (object: KubernetesObject): void => {
    const spec = parseSpec(object);
    if (seen === undefined || !isSameRecord(seen.spec, spec)) changedAtMs = clock.monotonicMs();
    seen = { object, spec };
    isUncertain = false;
  };

  const write = async (spec: LeaseSpec, signal: AbortSignal): Promise<boolean> => {
    try {
      if (seen === undefined) {
        remember(await api.create(resources.leases, { metadata: address, spec }, { signal }));
      } else {
        // With the resourceVersion that was read: another's write in between is a conflict.
        remember(await api.replace(resources.leases, { ...seen.object, spec }, { signal }));
      }
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) return false;
      isUncertain = true;
      throw error;
    }
  };

  const look = async (signal: AbortSignal): Promise<void> => {
    try {
      remember(await api.get(resources.leases, address, signal));
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
      seen = undefined;
      isUncertain = false;
    }
  };

  const specNow = (since: LeaseSpec | undefined): LeaseSpec => {
    const now = formatMicroTime(clock.nowMs());
    const isOurs = since?.holderIdentity === identity;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.round(options.durationMs / 1000),
      acquireTime: isOurs && since.acquireTime !== "" ? since.acquireTime : now,
      renewTime: now,
      leaseTransitions: since === undefined ? 0 : since.leaseTransitions + (isOurs ? 0 : 1),
    };
  };

  return {
    async acquire(signal) {
      await look(signal);
      const holder = seen?.spec.holderIdentity ?? "";
      const isTaken = holder !== "" && holder !== identity;
      if (isTaken && clock.monotonicMs() - changedAtMs < options.durationMs) return false;
      return write(specNow(seen?.spec), signal);
    },
    async renew(signal) {
      if (isUncertain) await look(signal);
      if (seen?.spec.holderIdentity !== identity) return false;
      return write(specNow(seen.spec), signal);
    },
    async release(signal) {
      if (isUncertain) await look(signal);
      if (seen?.spec.holderIdentity !== identity) return;
      await write({ ...specNow(seen.spec), holderIdentity: "", leaseDurationSeconds: 1 }, signal);
    },
  };
}

function isSameRecord(a: LeaseSpec, b: LeaseSpec): boolean {
  return (
    a.holderIdentity === b.holderIdentity && a.renewTime === b.renewTime && a.leaseTransitions === b.leaseTransitions
  );
}

function parseSpec(object: KubernetesObject): LeaseSpec {
  const spec = isRecord(object.spec) ? object.spec : {};
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  return {
    holderIdentity: text(spec.holderIdentity),
    leaseDurationSeconds: typeof spec.leaseDurationSeconds === "number" ? spec.leaseDurationSeconds : 0,
    acquireTime: text(spec.acquireTime),
    renewTime: text(spec.renewTime),
    leaseTransitions: typeof spec.leaseTransitions === "number" ? spec.leaseTransitions : 0,
  };
}
