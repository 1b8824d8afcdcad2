import assert from "node:assert/strict";
import { test } from "node:test";
import { decideStatus, type StatusFacts } from "./status.ts";

const good: StatusFacts = {
  spec: {},
  findings: [],
  rollout: { available: 1, wanted: 1, isCurrent: true, generation: 1, waiting: [] },
  storage: { kind: "writable" },
  catalogue: { state: { kind: "live" }, fault: undefined },
  nodes: {
    nodes: { mode: "HostsToml", ready: 2, total: 2, summary: "2/2" },
    condition: { type: "NodesReady", status: "True", reason: "AllNodesPass", message: "" },
  },
  webhook: { kind: "mutated" },
  endpoints: { host: "localhost:5443", hostFromClusterNetwork: "registry.slipway-system.svc" },
  bytesUsed: undefined,
};
const undecided: StatusFacts["nodes"] = {
  nodes: { ready: 0, total: 2, summary: "0/2" },
  condition: { type: "NodesReady", status: "Unknown", reason: "NotChosen", message: "" },
};
const external = { external: { url: "https://registry.example.com" } };
const withLogin = { external: { ...external.external, credentialSecretRef: { name: "login" } } };

const cases: readonly { readonly name: string; readonly facts: Partial<StatusFacts>; readonly ready: string }[] = [
  { name: "all is well", facts: {}, ready: "True Serving" },
  {
    name: "something blocks",
    facts: { findings: [{ reason: "ClaimNotFound", message: "", blocks: true }] },
    ready: "False ClaimNotFound",
  },
  {
    name: "something is worth knowing",
    facts: { findings: [{ reason: "ClaimCannotGrow", message: "", blocks: false }] },
    ready: "True ClaimCannotGrow",
  },
  { name: "the Deployment does not exist", facts: { rollout: undefined }, ready: "False NotHosted" },
  {
    name: "no pod is available",
    facts: {
      rollout: { available: 0, wanted: 1, isCurrent: true, generation: 1, waiting: ["gateway: ImagePullBackOff"] },
    },
    ready: "False RegistryUnavailable",
  },
  {
    name: "the volume cannot be written",
    facts: { storage: { kind: "failed", reason: "WriteFailed", message: "" } },
    ready: "False WriteFailed",
  },
  {
    name: "the registry was never read",
    facts: { catalogue: { state: { kind: "never-read" }, fault: "refused" } },
    ready: "False NeverRead",
  },
  {
    name: "no gateway answers",
    facts: { catalogue: { state: { kind: "lost", sinceMs: 0 }, fault: undefined } },
    ready: "False GatewaysLost",
  },
  { name: "no mode has been chosen", facts: { nodes: undecided }, ready: "False NotChosen" },
  {
    name: "the webhook is not reached",
    facts: { webhook: { kind: "unmutated", reason: "WebhookNotReached", message: "" } },
    ready: "False WebhookNotReached",
  },
  {
    name: "an external registry needs no Deployment",
    facts: { spec: external, rollout: undefined },
    ready: "True Serving",
  },
  {
    name: "the storage of an external registry without our gateway is not tried",
    facts: { spec: withLogin, rollout: undefined, storage: undefined },
    ready: "True Serving",
  },
];
for (const { name, facts, ready } of cases) {
  test(`Ready when ${name}`, () => {
    const [condition] = decideStatus({ ...good, ...facts }).conditions;
    assert.equal(`${condition?.status} ${condition?.reason}`, ready);
  });
}

test("a node that fails does not take Ready away", () => {
  const failing: StatusFacts["nodes"] = {
    nodes: { mode: "HostsToml", ready: 1, total: 2, summary: "1/2" },
    condition: { type: "NodesReady", status: "False", reason: "NodesFailing", message: "" },
  };
  const { conditions } = decideStatus({ ...good, nodes: failing });
  assert.deepEqual(
    conditions.map(({ type, status }) => `${type} ${status}`),
    ["Ready True", "NodesReady False", "CatalogueReady True", "StorageReady True"],
  );
});

test("pods that are being replaced serve, and what the new ones wait for is said", () => {
  const rollout = { available: 2, wanted: 2, isCurrent: false, generation: 2, waiting: ["gateway: ImagePullBackOff"] };
  const [ready] = decideStatus({ ...good, rollout }).conditions;
  assert.equal(`${ready?.status} ${ready?.reason}`, "True RollingOut");
  assert.match(ready?.message ?? "", /being replaced: gateway: ImagePullBackOff/);
});

test("what the pods wait for is said", () => {
  const rollout = { available: 0, wanted: 1, isCurrent: true, generation: 1, waiting: ["gateway: ImagePullBackOff"] };
  assert.match(decideStatus({ ...good, rollout }).conditions[0]?.message ?? "", /ImagePullBackOff/);
});

test("what the volume holds is said while it is known, and only of a registry that is hosted here", () => {
  const fields = (facts: Partial<StatusFacts>) => decideStatus({ ...good, ...facts }).fields;
  assert.equal(fields({ bytesUsed: 0 }).bytesUsed, 0);
  assert.equal(fields({ bytesUsed: 1_000 }).bytesUsed, 1_000);
  assert.ok(!("bytesUsed" in fields({})));
  assert.ok(!("bytesUsed" in fields({ bytesUsed: 1_000, spec: external })));
});

const stateOf = (type: string, facts: Partial<StatusFacts>) => {
  const found = decideStatus({ ...good, ...facts }).conditions.find((condition) => condition.type === type);
  return `${found?.status} ${found?.reason}`;
};

test("what stands in the way of something else than storage is no word about storage", () => {
  const refused = { reason: "ObjectRefused", message: "Service: port is taken", blocks: true };
  assert.equal(stateOf("StorageReady", { findings: [refused] }), "True Writable");
  assert.equal(stateOf("StorageReady", { findings: [refused], storage: undefined }), "Unknown NotTried");
  const missing = { reason: "ClaimNotFound", message: "", blocks: true, about: "storage" } as const;
  assert.equal(stateOf("StorageReady", { findings: [refused, missing] }), "False ClaimNotFound");
});

test("every finding is in the message of Ready, and those that block stand alone", () => {
  const finding = (message: string, blocks: boolean) => ({ reason: "Reason", message, blocks });
  const message = (...findings: StatusFacts["findings"]) => decideStatus({ ...good, findings }).conditions[0]?.message;
  assert.equal(message(finding("a", false), finding("b", false)), "a; b");
  assert.equal(message(finding("a", false), finding("b", true), finding("c", true)), "b; c");
});
