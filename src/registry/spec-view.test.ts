import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryStore } from "../cluster/memory-store.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { createRegistrySpecView } from "./spec-view.ts";

const registry = (spec: unknown, meta: object = {}): KubernetesObject => ({
  metadata: { name: "default", ...meta },
  spec,
});

function open(object?: KubernetesObject) {
  const store = createMemoryStore(object === undefined ? [] : [["default", object]]);
  return { store, view: createRegistrySpecView(store) };
}

test("before the first list nothing is known, not even that there is none", () => {
  assert.deepEqual(open().view(), { kind: "unknown" });
});

test("it is absent when a complete list lacks it, and when it is being deleted", () => {
  const { store, view } = open();
  store.markSynced();
  assert.deepEqual(view(), { kind: "absent" });
  store.set("default", registry({}, { deletionTimestamp: "2026-01-01T00:00:00Z" }));
  assert.deepEqual(view(), { kind: "absent" });
});

test("an edit that makes it invalid leaves the last good spec in force", () => {
  const { store, view } = open(registry({ host: "registry.example.com" }));
  store.markSynced();
  assert.deepEqual(view(), { kind: "present", spec: { host: "registry.example.com" } });
  store.set("default", registry({ host: 7 }));
  assert.deepEqual(view(), { kind: "present", spec: { host: "registry.example.com" } });
});

test("one that was never valid is unknown, so that nothing is taken back because of it", () => {
  const { store, view } = open(registry({ nodeAccess: "Sometimes" }));
  store.markSynced();
  assert.deepEqual(view(), { kind: "unknown" });
});

test("a good spec of a deleted one does not live on in its successor", () => {
  const { store, view } = open(registry({ host: "a.example.com" }));
  store.markSynced();
  view();
  store.delete("default");
  assert.deepEqual(view(), { kind: "absent" });
  store.set("default", registry({ host: 7 }));
  assert.deepEqual(view(), { kind: "unknown" });
});
