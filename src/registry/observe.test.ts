import assert from "node:assert/strict";
import { test } from "node:test";
import { gatewayEndpoints } from "./endpoints.ts";
import { readRollout, volumeTopology } from "./observe.ts";

const volume = (...terms: readonly unknown[]) => ({
  metadata: { name: "v" },
  spec: { nodeAffinity: { required: { nodeSelectorTerms: terms } } },
});
const host = (...values: readonly string[]) => ({ key: "kubernetes.io/hostname", operator: "In", values });

test("a local volume pins the pod to its node", () => {
  const local = volume({ matchExpressions: [host("node-1")] });
  assert.deepEqual(volumeTopology(local), { "kubernetes.io/hostname": "node-1" });
});

test("a volume that several nodes reach pins nothing", () => {
  assert.deepEqual(volumeTopology(volume({ matchExpressions: [host("node-1", "node-2")] })), {});
  assert.deepEqual(volumeTopology(volume({ matchExpressions: [host("a")] }, { matchExpressions: [host("b")] })), {});
  assert.deepEqual(volumeTopology({ metadata: { name: "v" }, spec: {} }), {});
  assert.deepEqual(volumeTopology(undefined), {});
});

const complete = { observedGeneration: 3, replicas: 2, updatedReplicas: 2, availableReplicas: 2 };
const rollouts = [
  { name: "every pod is of the newest template", status: complete, isCurrent: true },
  { name: "the controller has not seen it yet", status: { ...complete, observedGeneration: 2 }, isCurrent: false },
  { name: "a new pod is still to come", status: { ...complete, updatedReplicas: 1 }, isCurrent: false },
  { name: "an old pod runs beside the new ones", status: { ...complete, replicas: 3 }, isCurrent: false },
];
for (const { name, status, isCurrent } of rollouts) {
  test(`a rollout is ${isCurrent ? "" : "not "}complete when ${name}`, async () => {
    const deployment = { metadata: { name: "registry", generation: 3 }, spec: { replicas: 2 }, status };
    const api = { get: async () => deployment, list: async () => [] };
    const report = await readRollout(api, "slipway-system", new AbortController().signal);
    assert.deepEqual(report, { available: 2, wanted: 2, isCurrent, generation: 3, waiting: [] });
  });
}

test("where no pod can be made the Deployment says why, and pods what they wait for", async () => {
  const conditions = [
    { type: "Available", status: "False", message: "no minimum availability" },
    { type: "ReplicaFailure", status: "True", message: "pods is forbidden: exceeded quota" },
  ];
  const deployment = { metadata: { name: "registry", generation: 1 }, status: { observedGeneration: 1, conditions } };
  const pod = {
    status: { containerStatuses: [{ name: "gateway", state: { waiting: { reason: "ImagePullBackOff" } } }] },
  };
  const api = { get: async () => deployment, list: async () => [{ metadata: { name: "registry-1" }, ...pod }] };
  const report = await readRollout(api, "slipway-system", new AbortController().signal);
  assert.deepEqual(report?.waiting, ["pods is forbidden: exceeded quota", "gateway: ImagePullBackOff"]);
});

const slice = (service: string, ...endpoints: readonly unknown[]) => ({
  metadata: { name: "s", labels: { "kubernetes.io/service-name": service } },
  endpoints,
});

test("every gateway pod that is not terminating counts, ready or not, once", () => {
  const slices = [
    slice("registry", { addresses: ["10.0.0.2"], conditions: { ready: false } }, { addresses: ["10.0.0.1"] }),
    slice("registry", { addresses: ["10.0.0.1"] }, { addresses: ["fd00::1"] }),
    slice("registry", { addresses: ["10.0.0.3"], conditions: { terminating: true } }),
    slice("slipway", { addresses: ["10.0.0.4"] }),
    { metadata: { name: "s", labels: { "kubernetes.io/service-name": "registry" } }, endpoints: null },
  ];
  assert.deepEqual(gatewayEndpoints(slices), ["10.0.0.1:5443", "10.0.0.2:5443", "[fd00::1]:5443"]);
});
