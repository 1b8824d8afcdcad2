import assert from "node:assert/strict";
import test from "node:test";
import { compiledState, observedNamespace } from "../../test/fake/compiled.ts";
import { decideEnsure, decideSync, type SyncInput } from "./decide.ts";
import { desiredPullSecret, type PullSecret } from "./desired.ts";
import type { ObservedSecret } from "./observed.ts";

const namespace = observedNamespace("a");
const desired = desiredPullSecret(compiledState({ revision: 5 }), namespace);
const secret: PullSecret = desired.kind === "secret" ? desired.secret : assert.fail();

const inStep: ObservedSecret = {
  namespace: "a",
  name: "slipway-pull",
  uid: "u",
  resourceVersion: "41",
  ours: true,
  deleting: false,
  revision: 5,
  contentHash: secret.contentHash,
  namespaceUid: namespace.uid,
  ownedDataKeys: [".dockerconfigjson"],
};
const known = { uid: "u", resourceVersion: "41" };
const base: SyncInput = { namespace, optedIn: true, observed: inStep, desired };

const steps: readonly { name: string; change: Partial<SyncInput>; sync: string }[] = [
  { name: "in step", change: {}, sync: "keep" },
  { name: "in step since an earlier revision", change: { observed: { ...inStep, revision: 2 } }, sync: "keep" },
  { name: "absent", change: { observed: undefined }, sync: "apply" },
  {
    name: "other content from an earlier revision",
    change: { observed: { ...inStep, revision: 4, contentHash: "x" } },
    sync: "apply",
  },
  {
    name: "other content from the same revision",
    change: { observed: { ...inStep, contentHash: "x" } },
    sync: "apply",
  },
  {
    name: "other content from a later revision",
    change: { observed: { ...inStep, revision: 6, contentHash: "x" } },
    sync: "wait",
  },
  {
    name: "later revision, but of a namespace that had this name before",
    change: { observed: { ...inStep, revision: 6, namespaceUid: "old" } },
    sync: "apply",
  },
  { name: "content changed by somebody else", change: { observed: { ...inStep, ownedDataKeys: [] } }, sync: "apply" },
  {
    name: "revision changed by somebody else",
    change: { observed: { ...inStep, revision: undefined } },
    sync: "apply",
  },
  {
    name: "a key of ours that is wanted no longer",
    change: { observed: { ...inStep, ownedDataKeys: [".dockerconfigjson", "ca.crt"] } },
    sync: "apply",
  },
  { name: "without our marker", change: { observed: { ...inStep, ours: false } }, sync: "refuse" },
  {
    name: "without our marker, where nothing is wanted",
    change: { observed: { ...inStep, ours: false }, optedIn: false },
    sync: "keep",
  },
  { name: "being deleted", change: { observed: { ...inStep, deleting: true } }, sync: "keep" },
  { name: "opted out", change: { optedIn: false, desired: undefined }, sync: "remove" },
  { name: "opted out and absent", change: { optedIn: false, observed: undefined }, sync: "keep" },
  { name: "nothing left to put in it", change: { desired: { kind: "empty" } }, sync: "remove" },
  {
    name: "nothing to put in it and absent",
    change: { desired: { kind: "empty" }, observed: undefined },
    sync: "keep",
  },
  { name: "nothing compiled yet", change: { desired: undefined, observed: undefined }, sync: "wait" },
  { name: "too large", change: { desired: { kind: "too-large", bytes: 2_000_000 } }, sync: "hold" },
  {
    name: "a Terminating namespace",
    change: { namespace: { ...namespace, terminating: true }, observed: undefined },
    sync: "keep",
  },
  {
    name: "a Terminating namespace that opted out",
    change: { namespace: { ...namespace, terminating: true }, optedIn: false },
    sync: "keep",
  },
];
for (const { name, change, sync } of steps) {
  test(`the controller: ${name} → ${sync}`, () => {
    const step = decideSync({ ...base, ...change });
    assert.equal(step.kind, sync);
    if (step.kind === "remove") assert.deepEqual(step.known, known);
    if (step.kind === "apply") {
      const hasSecret = !("observed" in change) || change.observed !== undefined;
      assert.deepEqual(step.known, hasSecret ? known : undefined);
    }
  });
}

const ensures: readonly { name: string; observed: ObservedSecret | undefined; want: string }[] = [
  { name: "absent", observed: undefined, want: "write" },
  { name: "in step", observed: inStep, want: "ready" },
  { name: "lower revision, same content", observed: { ...inStep, revision: 2 }, want: "ready" },
  { name: "lower revision, other content", observed: { ...inStep, revision: 4, contentHash: "x" }, want: "write" },
  {
    name: "same revision, other content: left to the controller",
    observed: { ...inStep, contentHash: "x" },
    want: "ready",
  },
  {
    name: "higher revision: never written over",
    observed: { ...inStep, revision: 6, contentHash: "x" },
    want: "ready",
  },
  {
    name: "of a namespace that had this name before",
    observed: { ...inStep, namespaceUid: "old", revision: 6, contentHash: "x" },
    want: "write",
  },
  { name: "changed by somebody else", observed: { ...inStep, ownedDataKeys: [] }, want: "unavailable" },
  { name: "its revision changed by somebody else", observed: { ...inStep, revision: undefined }, want: "unavailable" },
  { name: "without our marker", observed: { ...inStep, ours: false }, want: "unavailable" },
  { name: "being deleted", observed: { ...inStep, deleting: true }, want: "unavailable" },
];
for (const { name, observed, want } of ensures) {
  test(`admission: ${name} → ${want}`, () => assert.equal(decideEnsure(observed, desired).kind, want));
}

const passing = ensures.map(({ name, observed }) => ({ name, step: decideEnsure(observed, desired) }));
test("admission: what is being deleted or repaired passes by itself, what is another's does not", () => {
  assert.deepEqual(
    passing.filter(({ step }) => step.kind === "unavailable" && step.isPassing === true).map(({ name }) => name),
    ["changed by somebody else", "its revision changed by somebody else", "being deleted"],
  );
});

test("admission: nothing to put in it → empty, whatever is there", () => {
  assert.deepEqual(decideEnsure(inStep, { kind: "empty" }), { kind: "empty" });
});

test("admission: too large → what is there is used", () => {
  const tooLarge = { kind: "too-large", bytes: 2_000_000 } as const;
  assert.equal(decideEnsure(inStep, tooLarge).kind, "ready");
  assert.equal(decideEnsure(undefined, tooLarge).kind, "unavailable");
});
