import type { Registry } from "prom-client";
import type { Clock, Random } from "../clock.ts";
import { SlipwayError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { ClusterApi } from "./api.ts";
import type { Component } from "./component.ts";
import { withDeadline } from "./deadline.ts";
import { createLeaseRecord, type LeaseRecord } from "./lease-record.ts";
import { gaugeAt } from "./metric.ts";

export type Lease = Component & { isLeader(): boolean };

export type LeaseNeeds = {
  readonly api: ClusterApi;
  readonly namespace: string;
  readonly name: string;
  /** Of this process, e.g. the pod's name. */
  readonly identity: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Registry;
  /**
   * Runs while this process leads; ends what it does when the signal aborts. An error of it, or an end without being
   * told to, ends `run`.
   */
  readonly lead: (signal: AbortSignal) => Promise<void>;
};

export const leaseSeconds = 15;
const renewDeadlineMs = 10_000;
const retryPeriodMs = 2_000;
const releaseTimeoutMs = 5_000;

/**
 * Leader election over a Lease: 15 s duration, 10 s to renew, a look every 2 s. Time is counted from when *we* saw the
 * record change, by the monotonic clock. A conflict while renewing is a loss, and so is a renewal that came late.
 *
 * At a loss `lead` is aborted and awaited, then the process stands for election again. At the stop `lead` is aborted
 * and awaited, the lease being renewed meanwhile, and then released, so that another leads within the retry period.
 *
 * There is no fencing: for a moment two may lead, so every write has to be harmless when both make it.
 *
 * @see https://github.com/kubernetes/client-go/blob/master/tools/leaderelection/leaderelection.go (header)
 */
export function createLease(needs: LeaseNeeds): Lease {
  const { clock, random, log } = needs;
  const fields = { lease: needs.name, identity: needs.identity };
  const record = createLeaseRecord(needs, { durationMs: leaseSeconds * 1000 });
  const leading = gaugeAt(needs.metrics, {
    name: "slipway_lease_is_leader",
    help: "1 while this process holds the lease",
    labelNames: ["lease"],
  });
  /** Start of the last renewal that succeeded; undefined while another may lead. */
  let renewedAtMs: number | undefined;

  const holds = () => renewedAtMs !== undefined && clock.monotonicMs() - renewedAtMs < renewDeadlineMs;

  const acquire = async (stop: AbortSignal): Promise<boolean> => {
    while (!stop.aborted) {
      const startedAtMs = clock.monotonicMs();
      try {
        const held = await withDeadline(clock, renewDeadlineMs, stop, (signal) => record.acquire(signal));
        if (held && clock.monotonicMs() - startedAtMs < renewDeadlineMs) {
          renewedAtMs = startedAtMs;
          return true;
        }
      } catch (error) {
        if (!stop.aborted) log.warn({ err: error, ...fields }, "the lease could not be read or taken");
      }
      await clock.sleep(retryPeriodMs * (0.5 + 0.5 * random()), stop).catch(() => undefined);
    }
    return false;
  };

  /** Renews until `over` aborts. @returns false when the lease was lost */
  const keep = async (over: AbortSignal): Promise<boolean> => {
    for (;;) {
      await clock.sleep(retryPeriodMs, over).catch(() => undefined);
      if (over.aborted) return true;
      if (!(await renewOnce(record, over))) return false;
    }
  };

  const renewOnce = async (held: LeaseRecord, over: AbortSignal): Promise<boolean> => {
    const startedAtMs = clock.monotonicMs();
    const leftMs = (renewedAtMs ?? 0) + renewDeadlineMs - startedAtMs;
    if (leftMs <= 0) return false;
    try {
      const renewed = await withDeadline(clock, leftMs, over, (signal) => held.renew(signal));
      if (!renewed || !holds()) return false;
      renewedAtMs = startedAtMs;
      return true;
    } catch (error) {
      if (over.aborted) return true;
      log.warn({ err: error, ...fields }, "the lease could not be renewed");
      return holds();
    }
  };

  const release = async (): Promise<void> => {
    try {
      await withDeadline(clock, releaseTimeoutMs, new AbortController().signal, (signal) => record.release(signal));
      log.info(fields, "lease released");
    } catch (error) {
      log.warn({ err: error, ...fields }, "the lease could not be released; it ends by itself in 15 s");
    }
  };

  /** One term of office. @throws the error of `lead` */
  const holdOffice = async (stop: AbortSignal): Promise<void> => {
    const end = new AbortController();
    const over = new AbortController();
    const signal = AbortSignal.any([stop, end.signal]);
    leading.set({ lease: needs.name }, 1);
    log.info(fields, "this process leads");
    const work = lead(needs.lead, signal).finally(() => over.abort());
    const kept = keep(over.signal).then((isKept) => {
      if (!isKept) {
        log.warn(fields, "the lease is lost");
        end.abort(new Error("the lease is lost"));
      }
      return isKept;
    });
    try {
      await work;
    } finally {
      const mayRelease = await kept;
      renewedAtMs = undefined;
      leading.set({ lease: needs.name }, 0);
      if (mayRelease) await release();
    }
  };

  return {
    name: `lease ${needs.name}`,
    isLeader: holds,
    async run(stop) {
      leading.set({ lease: needs.name }, 0);
      while (!stop.aborted) if (await acquire(stop)) await holdOffice(stop);
    },
  };
}

/** @throws what `work` throws, but for an AbortError after the abort; SlipwayError COMPONENT_ENDED when it just ends */
async function lead(work: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
  try {
    await work(signal);
  } catch (error) {
    if (signal.aborted && error instanceof Error && error.name === "AbortError") return;
    throw error;
  }
  if (!signal.aborted) throw new SlipwayError("COMPONENT_ENDED", "the work of the leader");
}
