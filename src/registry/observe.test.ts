import assert from "node:assert/strict";
import { test } from "node:test";
import { gatewayEndpoints } from "./endpoints.ts";
import { volumeTopology } from "./observe.ts";

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
