import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { createLog } from "../log.ts";
import { RegistryError } from "../registry/registry-error.ts";
import { slipwayPlace } from "./contract-pod.ts";
import { type ContractRegistry, type ContractTarget, createContractRun } from "./contract-run.ts";

const refusal = "pull access denied: insufficient_scope: authorization failed";
const timeout = 'Head "https://10.96.0.7:443/v2/": dial tcp 10.96.0.7:443: i/o timeout';

type Behaviour = {
  /** What kubelet says of a pod's pulls, by namespace; "pulled", or the words of a failure. */
  readonly kubelet: Readonly<Record<string, string>>;
  readonly webhook?: boolean;
  readonly push?: RegistryError;
  readonly lost?: boolean;
  readonly create?: ApiError;
  readonly isolates?: boolean;
};

function open(behaviour: Behaviour, holdDeletion?: (signal: AbortSignal | undefined) => Promise<void>) {
  const pods = new Map<string, KubernetesObject>();
  const created: KubernetesObject[] = [];
  const tags = new Map<string, string>();
  const pushed: string[] = [];
  const api: Pick<ClusterApi, "create" | "list" | "delete"> = {
    create: async (_resource, pod) => {
      if (behaviour.create !== undefined) throw behaviour.create;
      const uid = `uid-${created.length + 1}`;
      const imagePullSecrets = behaviour.webhook === false ? [] : [{ name: "slipway-pull" }];
      const spec = { ...(pod.spec as object), imagePullSecrets };
      const made = { ...pod, metadata: { ...pod.metadata, uid }, spec };
      pods.set(`${pod.metadata.namespace}/${pod.metadata.name}`, made);
      created.push(made);
      return made;
    },
    list: async (_resource, { namespace = "", fieldSelector }) => {
      const pod = created.find(({ metadata }) => fieldSelector === `regarding.uid=${metadata.uid}`);
      assert.equal(pod?.metadata.namespace, namespace);
      return eventsOf(pod ?? assert.fail(), behaviour.kubelet[namespace] ?? "");
    },
    delete: async (_resource, { namespace, name }, options) => {
      await holdDeletion?.(options?.signal);
      if (!pods.delete(`${namespace}/${name}`)) {
        throw new ApiError({ status: 404, reason: "NotFound", message: "no such pod" });
      }
    },
  };
  const registry: ContractRegistry = {
    uploadBlob: async (_repository, blob) => {
      if (behaviour.push !== undefined) throw behaviour.push;
      pushed.push(blob.digest);
    },
    putManifest: async (repository, tag, manifest) => void tags.set(`${repository}:${tag}`, manifest.digest),
    headManifest: async (repository, tag) => {
      const digest = behaviour.lost === true ? undefined : tags.get(`${repository}:${tag}`);
      return digest === undefined ? undefined : { digest, mediaType: "", size: 1 };
    },
    deleteManifest: async (repository, digest) => {
      for (const [name, known] of tags) if (name.startsWith(repository) && known === digest) tags.delete(name);
      return true;
    },
    async *tags() {},
  };
  const clock = createManualClock();
  const target: ContractTarget = {
    mode: "HostsToml",
    names: ["registry.slipway-system.svc", "registry.example.com:5000"],
    key: "k",
    cas: [],
    isolates: behaviour.isolates ?? true,
    registry,
  };
  const run = createContractRun({
    place: slipwayPlace,
    api,
    run: "abc",
    randomBytes: (size) => Buffer.alloc(size, 1),
    clock,
    log: createLog({ level: "silent" }),
  });
  return { pods, created, tags, pushed, clock, target, run };
}

function eventsOf(pod: KubernetesObject, said: string): readonly KubernetesObject[] {
  const { containers } = pod.spec as { readonly containers: readonly { name: string; image: string }[] };
  if (said === "") return [];
  return containers.map(({ name, image }) => {
    const pulled = said === "pulled";
    const note = pulled ? `Successfully pulled image "${image}"` : `Failed to pull image "${image}": ${said}`;
    const regarding = { fieldPath: `spec.containers{${name}}` };
    return {
      metadata: { name },
      reason: pulled ? "Pulled" : "Failed",
      type: pulled ? "Normal" : "Warning",
      note,
      regarding,
    };
  });
}

async function check(behaviour: Behaviour) {
  const world = open(behaviour);
  const stop = new AbortController();
  const found = world.run("node-a", world.target, stop.signal);
  let isOver = false;
  const watched = found.finally(() => {
    isOver = true;
  });
  watched.catch(() => {});
  for (let turns = 0; turns < 400 && !isOver; turns += 1) await world.clock.advance(500);
  return { ...world, found: await found };
}

describe("a contract check", () => {
  test("passes when the node pulls by every name and the other namespace is refused", async () => {
    const kubelet = { "slipway-check": "pulled", "slipway-check-other": refusal };
    const { found, created, pushed } = await check({ kubelet });
    assert.equal(found.kind, "passed");
    assert.equal(pushed.length, 2);
    const [own, other] = created;
    assert.ok(own !== undefined && other !== undefined);
    const { nodeName, containers } = own.spec as { nodeName: string; containers: readonly Record<string, unknown>[] };
    assert.equal(nodeName, "node-a");
    assert.deepEqual(
      containers.map(({ image, imagePullPolicy }) => [image, imagePullPolicy]),
      [
        ["registry.slipway-system.svc/slipway-check/contract:abc-0101010101", "Always"],
        ["registry.example.com:5000/slipway-check/contract:abc-0101010101", "Always"],
      ],
    );
    assert.equal(other.metadata.namespace, "slipway-check-other");
    assert.deepEqual((other.spec as { containers: unknown }).containers, containers);
  });

  const outcomes: readonly (Behaviour & { readonly name: string; readonly kind: string; readonly reason?: string })[] =
    [
      {
        name: "is exposed when the other namespace can pull",
        kubelet: { "slipway-check": "pulled", "slipway-check-other": "pulled" },
        kind: "exposed",
        reason: "IsolationBroken",
      },
      {
        name: "fails with the runtime's words when the pull fails to the end",
        kubelet: { "slipway-check": timeout },
        kind: "failed",
        reason: "Unreachable",
      },
      {
        name: "says nothing of the node when the registry has lost the image",
        kubelet: { "slipway-check": timeout },
        lost: true,
        kind: "undecided",
      },
      { name: "says nothing of the node when the pod comes to no pull", kubelet: {}, kind: "undecided" },
      {
        name: "says nothing of the node when the webhook was not reached",
        kubelet: { "slipway-check": refusal },
        webhook: false,
        kind: "undecided",
      },
      {
        name: "says nothing of the node when the push fails",
        kubelet: {},
        push: new RegistryError({ status: 503, code: "UNAVAILABLE", message: "away" }),
        kind: "undecided",
      },
      {
        name: "says nothing of the node when the pod is refused",
        kubelet: {},
        create: new ApiError({ status: 403, reason: "Forbidden", message: "exceeded quota" }),
        kind: "undecided",
      },
      {
        name: "says nothing of isolation when the other namespace fails for another reason",
        kubelet: { "slipway-check": "pulled", "slipway-check-other": timeout },
        kind: "undecided",
      },
      {
        name: "leaves the other namespace out for an external registry",
        kubelet: { "slipway-check": "pulled", "slipway-check-other": "pulled" },
        isolates: false,
        kind: "passed",
      },
    ];
  for (const { name, kind, reason, ...behaviour } of outcomes) {
    test(`${name}, and nothing is left`, async () => {
      const { found, pods, tags } = await check(behaviour);
      assert.equal(found.kind, kind, found.message);
      assert.equal("reason" in found ? found.reason : undefined, reason);
      assert.deepEqual([pods.size, tags.size], [0, 0]);
    });
  }

  test("that is stopped leaves nothing either", async () => {
    const { run, target, pods, tags, clock } = open({ kubelet: {} });
    const stop = new AbortController();
    const found = run("node-a", target, stop.signal);
    await clock.whenSleeping();
    assert.deepEqual([pods.size, tags.size], [1, 1]);
    stop.abort(new Error("the lease is lost"));
    await assert.rejects(found, /the lease is lost/);
    assert.deepEqual([pods.size, tags.size], [0, 0]);
  });

  for (const { name, stopAfterMs, endsAfterMs } of [
    { name: "has half a minute to clean up", stopAfterMs: undefined, endsAfterMs: 30_000 },
    { name: "has three seconds once it is stopped", stopAfterMs: 10_000, endsAfterMs: 13_000 },
  ]) {
    test(`at a slow API server ${name}`, async () => {
      const deletion = Promise.withResolvers<AbortSignal>();
      const { run, target, pods, tags, clock } = open(
        { kubelet: { "slipway-check": "pulled" }, isolates: false },
        async (signal = assert.fail()) => {
          deletion.resolve(signal);
          await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
        },
      );
      const stop = new AbortController();
      const found = run("node-a", target, stop.signal);
      const limit = await deletion.promise;
      await clock.advance(stopAfterMs ?? 0);
      if (stopAfterMs !== undefined) stop.abort();
      await clock.advance(endsAfterMs - (stopAfterMs ?? 0) - 1);
      assert.equal(limit.aborted, false);
      await clock.advance(1);
      assert.equal((await found).kind, "passed");
      assert.deepEqual([pods.size, tags.size], [1, 0]);
    });
  }
});
