import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { LocalRegistrySpec } from "../config/local-registry.ts";
import { planAccess } from "./access-plan.ts";
import { noAutoState } from "./choose.ts";
import { composeOrders, type OrderFacts } from "./orders.ts";

function facts(spec: LocalRegistrySpec | null, fields: Partial<OrderFacts> = {}): OrderFacts {
  return {
    spec,
    registry: null,
    plan: planAccess(spec, noAutoState),
    clusterIp: "10.96.0.10",
    caBundle: "PEM",
    checkLogin: null,
    lookCount: 0,
    runtime: { name: "containerd", version: "2.1.9" },
    ...fields,
  };
}

describe("the orders of a node", () => {
  test("lead to the Service's address, checked against its name", () => {
    const { registry } =
      composeOrders(facts({ nodeAccess: "HostsToml", aliases: ["container-registry.local:5000"] })) ?? assert.fail();
    assert.equal(registry?.server, "https://10.96.0.10:443");
    assert.equal(registry?.serverName, "registry.slipway-system.svc");
    assert.deepEqual(registry?.names, [
      "registry.slipway-system.svc",
      "registry.slipway-system.svc.cluster.local",
      "container-registry.local:5000",
    ]);
  });
  test("put an IPv6 address in brackets", () => {
    assert.equal(composeOrders(facts({}, { clusterIp: "fd00::a" }))?.registry?.server, "https://[fd00::a]:443");
  });
  test("lead to the address of an external registry", () => {
    const orders = composeOrders(
      facts({ external: { url: "https://registry.example.com" } }, { clusterIp: null, caBundle: null }),
    );
    assert.equal(orders?.registry?.server, "https://registry.example.com");
    assert.equal(orders?.registry?.kind, "external");
  });
  test("are not known before the Service and the CA are", () => {
    assert.equal(composeOrders(facts({}, { clusterIp: null })), undefined);
    assert.equal(composeOrders(facts({}, { caBundle: null })), undefined);
  });
  test("without a LocalRegistry remove everything", () => {
    const orders = composeOrders(facts(null, { clusterIp: null, caBundle: null }));
    assert.equal(orders?.registry, null);
    assert.deepEqual(orders?.modes, []);
    assert.ok(orders?.remove.includes("HostsToml"));
  });
  test("have the same revision on every replica, and another with any change", () => {
    const spec = { nodeAccess: "HostsToml" } as const;
    const base = composeOrders(facts(spec))?.revision;
    assert.equal(composeOrders(facts(spec))?.revision, base);
    const changes: readonly Partial<OrderFacts>[] = [
      { clusterIp: "10.96.0.11" },
      { caBundle: "PEM2" },
      { lookCount: 1 },
      { runtime: null },
      { checkLogin: { username: "u", password: "p" } },
      { plan: planAccess({ nodeAccess: "LoopbackProxy" }, noAutoState) },
    ];
    const revisions = changes.map((change) => composeOrders(facts(spec, change))?.revision);
    assert.equal(new Set([base, ...revisions]).size, changes.length + 1);
  });
});
