import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryStore } from "../cluster/memory-store.ts";
import { optInSelection } from "../namespace/selection.ts";
import { createStanding } from "./standing.ts";

const enabled = { "slipway.dev/inject": "enabled" };
const disabled = { "slipway.dev/inject": "disabled" };
const cases = [
  { name: "an opted-in namespace", namespace: "a", uid: "1", labels: enabled, optIn: true, optOut: true },
  { name: "a namespace without the label", namespace: "a", uid: "1", labels: {}, optIn: false, optOut: true },
  { name: "an opted-out namespace", namespace: "a", uid: "1", labels: disabled, optIn: false, optOut: false },
  { name: "a re-created namespace", namespace: "a", uid: "2", labels: enabled, optIn: false, optOut: false },
  { name: "an excluded namespace", namespace: "legacy", uid: "1", labels: {}, optIn: false, optOut: false },
  { name: "our own namespace", namespace: "slipway-system", uid: "1", labels: enabled, optIn: false, optOut: false },
] as const;
for (const { name, namespace, uid, labels, optIn, optOut } of cases) {
  for (const [selection, want] of [
    [optInSelection, optIn],
    [{ mode: "OptOut", excluded: ["legacy"] }, optOut],
  ] as const) {
    test(`${name} ${want ? "stands" : "does not stand"} in mode ${selection.mode}`, () => {
      const namespaces = createMemoryStore([[namespace, { metadata: { name: namespace, uid, labels } }]]);
      const standing = createStanding({ namespaces, selection, users: () => new Map(), hasAdmin: () => true });
      const subject = { kind: "namespace", purpose: "pull", namespace, uid: "1" } as const;
      assert.equal(standing.resolve(subject) !== undefined, want);
    });
  }
}

const pushCases = [
  {
    name: "a namespace that asks for a push login",
    namespace: "a",
    annotations: { "slipway.dev/push": "enabled" },
    want: true,
  },
  { name: "a namespace that no longer asks for one", namespace: "a", annotations: {}, want: false },
  {
    name: "a namespace that asks for none",
    namespace: "a",
    annotations: { "slipway.dev/push": "disabled" },
    want: false,
  },
  { name: "the namespace of the contract check", namespace: "slipway-check", annotations: {}, want: true },
] as const;
for (const { name, namespace, annotations, want } of pushCases) {
  test(`the push login of ${name} ${want ? "stands" : "does not stand"}, its pull login does`, () => {
    const metadata = { name: namespace, uid: "1", labels: enabled, annotations };
    const namespaces = createMemoryStore([[namespace, { metadata }]]);
    const needs = { namespaces, selection: optInSelection, users: () => new Map(), hasAdmin: () => true };
    const stands = (purpose: "pull" | "push") =>
      createStanding(needs).resolve({ kind: "namespace", purpose, namespace, uid: "1" }) !== undefined;
    assert.deepEqual([stands("push"), stands("pull")], [want, true]);
  });
}

test("a further user stands with the rules of now, and not when it is gone", () => {
  let users = new Map([["ci", { password: "x", rules: [{ repository: "a/**", actions: ["pull"] as const }] }]]);
  const namespaces = createMemoryStore();
  const standing = createStanding({ namespaces, selection: optInSelection, users: () => users, hasAdmin: () => true });
  const before = standing.resolve({ kind: "user", name: "ci" });
  assert.deepEqual(before, { kind: "user", name: "ci", rules: [{ repository: "a/**", actions: ["pull"] }] });
  users = new Map();
  assert.equal(standing.resolve({ kind: "user", name: "ci" }), undefined);
});

const accountCases = [
  { name: "in a namespace that is there", metadata: { name: "a", uid: "1", labels: enabled }, want: true },
  { name: "in one that is not opted in", metadata: { name: "a", uid: "1" }, want: true },
  { name: "in one that was made again", metadata: { name: "a", uid: "2", labels: enabled }, want: false },
  { name: "in one that is gone", metadata: { name: "b", uid: "1" }, want: false },
] as const;
for (const { name, metadata, want } of accountCases) {
  test(`a ServiceAccount ${name} ${want ? "stands" : "does not stand"}`, () => {
    const namespaces = createMemoryStore([[metadata.name, { metadata }]]);
    const needs = { namespaces, selection: optInSelection, users: () => new Map(), hasAdmin: () => true };
    const subject = { kind: "serviceAccount", namespace: "a", name: "builder", uid: "1" } as const;
    assert.equal(createStanding(needs).resolve(subject) !== undefined, want);
  });
}
