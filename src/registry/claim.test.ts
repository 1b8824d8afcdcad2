import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../cluster/object.ts";
import { decideClaim } from "./claim.ts";
import { quantityValue } from "./quantity.ts";

const namespace = "slipway-system";
const classes = [
  { name: "slow", isDefault: true, allowsExpansion: false },
  { name: "fast", isDefault: false, allowsExpansion: true },
];
const claim = (size: string, storageClassName: string, labels = { "app.kubernetes.io/managed-by": "slipway" }) => ({
  metadata: { name: "registry-data", namespace, labels },
  spec: { storageClassName, resources: { requests: { storage: size } } },
  status: { phase: "Bound" },
});
const facts = { namespace, storageClasses: classes, claim: undefined };
const specOf = (object: KubernetesObject | undefined) =>
  object?.spec as { storageClassName?: string; resources: { requests: { storage: string } } };

test("a new claim takes the first StorageClass that exists", () => {
  const { desired, findings } = decideClaim({ storageClassNames: ["absent", "fast", "slow"], size: "5Gi" }, facts);
  assert.equal(specOf(desired).storageClassName, "fast");
  assert.equal(specOf(desired).resources.requests.storage, "5Gi");
  assert.deepEqual(findings, []);
});

test("without a list it is the cluster's default, by leaving the field out", () => {
  const { desired } = decideClaim({}, facts);
  assert.equal(specOf(desired).storageClassName, undefined);
  assert.equal(specOf(desired).resources.requests.storage, "10Gi");
});

test("none of the list exists: nothing is made, and the finding says so", () => {
  const { name, desired, findings } = decideClaim({ storageClassNames: ["absent"] }, facts);
  assert.equal(name, undefined);
  assert.equal(desired, undefined);
  assert.deepEqual(
    findings.map(({ reason, blocks }) => ({ reason, blocks })),
    [{ reason: "StorageClassNotFound", blocks: true }],
  );
});

test("a cluster without a default class is reported", () => {
  const [, fast] = classes;
  const { findings } = decideClaim({}, { ...facts, storageClasses: fast === undefined ? [] : [fast] });
  assert.equal(findings[0]?.reason, "NoDefaultStorageClass");
});

const growth = [
  {
    name: "grows where its class allows it",
    held: "10Gi",
    of: "fast",
    wanted: "20Gi",
    size: "20Gi",
    finding: undefined,
  },
  {
    name: "does not grow elsewhere",
    held: "10Gi",
    of: "slow",
    wanted: "20Gi",
    size: "10Gi",
    finding: "ClaimCannotGrow",
  },
  { name: "never shrinks", held: "10Gi", of: "fast", wanted: "5Gi", size: "10Gi", finding: "ClaimCannotShrink" },
  {
    name: "keeps its size when none is given",
    held: "3Gi",
    of: "fast",
    wanted: undefined,
    size: "3Gi",
    finding: undefined,
  },
  {
    name: "keeps the same size in other words",
    held: "1Gi",
    of: "slow",
    wanted: "1024Mi",
    size: "1Gi",
    finding: undefined,
  },
];
for (const { name, held, of, wanted, size, finding } of growth) {
  test(`an existing claim ${name}`, () => {
    const storage = wanted === undefined ? {} : { size: wanted, storageClassNames: ["other"] };
    const { desired, findings } = decideClaim(storage, { ...facts, claim: claim(held, of) });
    assert.equal(specOf(desired).resources.requests.storage, size);
    assert.equal(specOf(desired).storageClassName, of);
    assert.equal(findings[0]?.reason, finding);
  });
}

test("a claim that no volume is bound to yet grows when it is: the API server refuses it before", () => {
  const pending = { ...claim("10Gi", "fast"), status: { phase: "Pending" } };
  const { desired, findings } = decideClaim({ size: "20Gi" }, { ...facts, claim: pending });
  assert.equal(specOf(desired).resources.requests.storage, "10Gi");
  assert.deepEqual(findings, []);
});

test("what cannot grow or shrink is said with both sizes, and the class", () => {
  const messageFor = (of: string, size: string) =>
    decideClaim({ size }, { ...facts, claim: claim("10Gi", of) }).findings[0]?.message ?? "";
  assert.match(messageFor("fast", "5Gi"), /5Gi.*10Gi/);
  assert.match(messageFor("slow", "20Gi"), /10Gi to 20Gi.*slow.*allowVolumeExpansion/);
});

const { metadata, spec } = claim("1Gi", "fast");
const deletionTimestamp = "2026-01-01T00:00:00Z";
const faults = [
  {
    name: "is being deleted",
    claim: { metadata: { ...metadata, deletionTimestamp }, spec },
    reason: "ClaimBeingDeleted",
    blocks: false,
  },
  {
    name: "may only be read",
    claim: { metadata, spec: { ...spec, accessModes: ["ReadOnlyMany"] } },
    reason: "ClaimUnusable",
    blocks: true,
  },
  {
    name: "is no file system",
    claim: { metadata, spec: { ...spec, volumeMode: "Block" } },
    reason: "ClaimUnusable",
    blocks: true,
  },
];
for (const fault of faults) {
  test(`a claim that ${fault.name} is named, our own and an existing one`, () => {
    for (const storage of [{}, { existingClaim: "registry-data" }]) {
      const { desired, findings } = decideClaim(storage, { ...facts, claim: fault.claim });
      assert.equal(desired, undefined);
      assert.deepEqual(
        findings.map(({ reason, blocks }) => ({ reason, blocks })),
        [{ reason: fault.reason, blocks: fault.blocks }],
      );
      assert.match(findings[0]?.message ?? "", /slipway-system\/registry-data/);
    }
  });
}

for (const mode of ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]) {
  test(`an existing claim with access mode ${mode} is used`, () => {
    const found = { metadata, spec: { ...spec, accessModes: ["ReadOnlyMany", mode], volumeMode: "Filesystem" } };
    const decision = decideClaim({ existingClaim: "registry-data" }, { ...facts, claim: found });
    assert.deepEqual(decision, { name: "registry-data", desired: undefined, findings: [] });
  });
}

test("a claim of another is used and never changed", () => {
  const foreign = claim("1Gi", "fast", { "app.kubernetes.io/managed-by": "helm" });
  const decision = decideClaim({ size: "20Gi" }, { ...facts, claim: foreign });
  assert.equal(decision.name, "registry-data");
  assert.equal(decision.desired, undefined);
});

test("existingClaim has to exist", () => {
  assert.equal(decideClaim({ existingClaim: "mine" }, facts).findings[0]?.reason, "ClaimNotFound");
  assert.equal(decideClaim({ existingClaim: "mine" }, { ...facts, claim: claim("1Gi", "x") }).name, "mine");
});

const quantities = [
  ["10Gi", 10 * 2 ** 30],
  ["1.5k", 1500],
  ["1e3", 1000],
  ["1E", 1e18],
  ["100m", 0.1],
  ["7", 7],
  ["x", undefined],
  ["1Zi", undefined],
] as const;
for (const [text, want] of quantities) test(`quantity ${text}`, () => assert.equal(quantityValue(text), want));
