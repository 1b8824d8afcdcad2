import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { Registry } from "prom-client";
import { createManualClock, type ManualClock } from "../../test/fake/clock.ts";
import { createLog } from "../log.ts";
import { ApiError, type ClusterApi } from "./api.ts";
import { createLease } from "./lease.ts";
import type { KubernetesObject } from "./object.ts";

type Spec = { readonly holderIdentity: string; readonly renewTime: string; readonly leaseTransitions: number };

/** One Lease object with versions, and faults for the next requests. */
function createLeaseApi() {
  let lease: KubernetesObject | undefined;
  let version = 0;
  const faults: unknown[] = [];
  const beforeReplace: (() => void)[] = [];
  const fault = () => {
    const next = faults.shift();
    if (next !== undefined) throw next;
  };
  const save = (object: KubernetesObject): KubernetesObject => {
    lease = { ...object, metadata: { ...object.metadata, resourceVersion: String(++version) } };
    return lease;
  };
  const api = {
    async get() {
      fault();
      if (lease === undefined) throw new ApiError({ status: 404, reason: "NotFound", message: "none" });
      return lease;
    },
    async create(_resource: unknown, object: KubernetesObject) {
      fault();
      if (lease !== undefined) throw new ApiError({ status: 409, reason: "AlreadyExists", message: "there is one" });
      return save(object);
    },
    async replace(_resource: unknown, object: KubernetesObject) {
      fault();
      beforeReplace.shift()?.();
      if (object.metadata.resourceVersion !== lease?.metadata.resourceVersion) {
        throw new ApiError({ status: 409, reason: "Conflict", message: "modified" });
      }
      return save(object);
    },
  } as unknown as ClusterApi;
  return {
    api,
    faults,
    beforeReplace,
    spec: () => (lease?.spec ?? {}) as Spec,
    /** Another process writes. */
    write: (spec: Partial<Spec>) =>
      save({ metadata: { name: "slipway" }, spec: { ...(lease?.spec as object), ...spec } }),
  };
}

const lost = new ApiError({ status: 0, reason: "ConnectionLost", message: "planted" });

function stand(t: TestContext, world: ReturnType<typeof createLeaseApi>, identity: string, clock: ManualClock) {
  const terms: string[] = [];
  const drain = { promise: Promise.resolve() };
  const lease = createLease({
    api: world.api,
    namespace: "slipway-system",
    name: "slipway",
    identity,
    clock,
    random: () => 0,
    log: createLog({ level: "silent" }),
    metrics: new Registry(),
    async lead(signal) {
      terms.push("begin");
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      terms.push("told");
      await drain.promise;
      terms.push("end");
    },
  });
  const end = new AbortController();
  const running = lease.run(end.signal);
  const stop = async () => {
    end.abort();
    await clock.advance(0);
    await running;
  };
  t.after(stop);
  return { lease, terms, drain, stop, end, running };
}

describe("a lease", () => {
  test("is created where there is none, and renewed every two seconds with six digits", async (t) => {
    const [world, clock] = [createLeaseApi(), createManualClock()];
    const one = stand(t, world, "one", clock);
    await clock.advance(0);
    assert.deepEqual([one.terms, one.lease.isLeader()], [["begin"], true]);
    assert.equal(world.spec().renewTime, "2030-01-01T00:00:00.000000Z");
    await clock.advance(2_000);
    assert.equal(world.spec().renewTime, "2030-01-01T00:00:02.000000Z");
  });

  test("is left to its holder while that renews, and taken 15 s after we saw the last change", async (t) => {
    const [world, clock] = [createLeaseApi(), createManualClock()];
    world.write({ holderIdentity: "other", renewTime: "2000-01-01T00:00:00.000000Z", leaseTransitions: 4 });
    const one = stand(t, world, "one", clock);
    await clock.advance(10_000);
    world.write({ renewTime: "2000-01-01T00:00:10.000000Z" });
    await clock.advance(14_000);
    assert.deepEqual(one.terms, []);
    await clock.advance(3_000);
    assert.deepEqual(one.terms, ["begin"]);
    assert.deepEqual([world.spec().holderIdentity, world.spec().leaseTransitions], ["one", 5]);
  });

  test("does not mind a wall clock that jumps", async (t) => {
    const [world, clock] = [createLeaseApi(), createManualClock()];
    world.write({ holderIdentity: "other", renewTime: "2030-01-01T00:00:00.000000Z" });
    const one = stand(t, world, "one", clock);
    await clock.advance(2_000);
    clock.jump(86_400_000);
    await clock.advance(4_000);
    assert.deepEqual(one.terms, []);
  });

  test("is lost at a conflict, and stood for again", async (t) => {
    const [world, clock] = [createLeaseApi(), createManualClock()];
    const one = stand(t, world, "one", clock);
    await clock.advance(0);
    world.write({ holderIdentity: "other" });
    await clock.advance(2_000);
    assert.deepEqual([one.terms, one.lease.isLeader()], [["begin", "told", "end"], false]);
    assert.equal(world.spec().holderIdentity, "other", "what is another's is not released");
    await clock.advance(17_000);
    assert.deepEqual(one.terms, ["begin", "told", "end", "begin"]);
  });

  test("survives requests that fail for less than ten seconds", async (t) => {
    const [world, clock] = [createLeaseApi(), createManualClock()];
    const one = stand(t, world, "one", clock);
    await clock.advance(0);
    world.faults.push(lost, lost, lost);
    await clock.advance(12_000);
    assert.deepEqual([one.terms, one.lease.isLeader()], [["begin"], true]);
  });

  test("survives a renewal whose answer was lost", async (t) => {
    const [world, clock] = [createLeaseApi(), createManualClock()];
    const one = stand(t, world, "one", clock);
    await clock.advance(0);
    world.write({ renewTime: "2030-01-01T00:00:02.000000Z" });
    world.faults.push(lost);
    await clock.advance(4_000);
    assert.deepEqual(one.terms, ["begin"]);
  });

  test("is lost when no renewal comes through for ten seconds", async (t) => {
    const [world, clock] = [createLeaseApi(), createManualClock()];
    const one = stand(t, world, "one", clock);
    await clock.advance(0);
    world.faults.push(...Array.from({ length: 8 }, () => lost));
    await clock.advance(9_999);
    assert.equal(one.lease.isLeader(), true);
    await clock.advance(1);
    assert.equal(one.lease.isLeader(), false);
    await clock.advance(2_000);
    assert.deepEqual(one.terms.slice(0, 3), ["begin", "told", "end"]);
  });

  test("is no longer held by a process that slept through its time", async (t) => {
    const [world, clock] = [createLeaseApi(), createManualClock()];
    const one = stand(t, world, "one", clock);
    await clock.advance(0);
    // The clock moves and nobody is woken: a blocked event loop.
    clock.freeze(11_000);
    assert.equal(one.lease.isLeader(), false);
    await clock.advance(0);
    assert.deepEqual(one.terms.slice(0, 3), ["begin", "told", "end"]);
  });

  test("is lost when the renewal came through too late", async (t) => {
    const [world, clock] = [createLeaseApi(), createManualClock()];
    const one = stand(t, world, "one", clock);
    await clock.advance(0);
    world.beforeReplace.push(() => clock.freeze(11_000));
    await clock.advance(2_000);
    assert.deepEqual(one.terms.slice(0, 3), ["begin", "told", "end"]);
  });

  test("is released at the stop, after the work has ended, and renewed until then", async (t) => {
    const [world, clock] = [createLeaseApi(), createManualClock()];
    const one = stand(t, world, "one", clock);
    await clock.advance(0);
    const work = Promise.withResolvers<void>();
    one.drain.promise = work.promise;
    one.end.abort();
    await clock.advance(4_000);
    assert.deepEqual(one.terms, ["begin", "told"]);
    assert.equal(world.spec().holderIdentity, "one");
    assert.equal(world.spec().renewTime, "2030-01-01T00:00:04.000000Z");
    work.resolve();
    await one.running;
    assert.equal(world.spec().holderIdentity, "");
  });

  test("goes to the other candidate within the retry period after a release", async (t) => {
    const [world, clock] = [createLeaseApi(), createManualClock()];
    const one = stand(t, world, "one", clock);
    await clock.advance(0);
    const two = stand(t, world, "two", clock);
    await clock.advance(5_000);
    assert.deepEqual(two.terms, []);
    await one.stop();
    await clock.advance(2_000);
    assert.deepEqual(two.terms, ["begin"]);
  });

  test("a fault of the work ends the component, the lease being released", async () => {
    const [world, clock] = [createLeaseApi(), createManualClock()];
    const lease = createLease({
      api: world.api,
      namespace: "slipway-system",
      name: "slipway",
      identity: "one",
      clock,
      random: () => 0,
      log: createLog({ level: "silent" }),
      metrics: new Registry(),
      lead: () => Promise.reject(new Error("planted")),
    });
    await assert.rejects(lease.run(new AbortController().signal), /planted/);
    assert.equal(world.spec().holderIdentity, "");
  });
});
