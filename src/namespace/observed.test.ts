import assert from "node:assert/strict";
import test from "node:test";
import { createMemoryStore } from "../cluster/memory-store.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { highestRevision, observeNamespace, observeSecret } from "./observed.ts";

/** As PartialObjectMetadata of kube-apiserver 1.36, after an apply of ours. */
const applied: KubernetesObject = {
  metadata: {
    name: "slipway-pull",
    namespace: "a",
    uid: "7c1d",
    resourceVersion: "41",
    labels: { "app.kubernetes.io/managed-by": "slipway" },
    annotations: {
      "slipway.dev/revision": "3",
      "slipway.dev/content-hash": "abc",
      "slipway.dev/namespace-uid": "ns-uid",
    },
    managedFields: [
      {
        manager: "slipway",
        operation: "Apply",
        apiVersion: "v1",
        fieldsType: "FieldsV1",
        fieldsV1: {
          "f:data": { "f:.dockerconfigjson": {} },
          "f:metadata": {
            "f:annotations": {
              "f:slipway.dev/content-hash": {},
              "f:slipway.dev/namespace-uid": {},
              "f:slipway.dev/revision": {},
            },
            "f:labels": { "f:app.kubernetes.io/managed-by": {} },
          },
          "f:type": {},
        },
      },
    ],
  },
};
const withMetadata = (change: Partial<KubernetesObject["metadata"]>) =>
  observeSecret({ metadata: { ...applied.metadata, ...change } });

test("what we applied is seen as ours, whole", () => {
  assert.deepEqual(observeSecret(applied), {
    namespace: "a",
    name: "slipway-pull",
    uid: "7c1d",
    resourceVersion: "41",
    ours: true,
    deleting: false,
    revision: 3,
    contentHash: "abc",
    namespaceUid: "ns-uid",
    ownedDataKeys: [".dockerconfigjson"],
  });
});

test("without our field manager nothing is owned, and annotations say nothing", () => {
  const seen = withMetadata({ managedFields: [] });
  assert.deepEqual(
    [seen.ours, seen.revision, seen.contentHash, seen.namespaceUid, seen.ownedDataKeys],
    [true, undefined, undefined, undefined, []],
  );
});

test("an Update by a manager of our name is not an apply of ours", () => {
  const [entry] = applied.metadata.managedFields as [object];
  assert.deepEqual(withMetadata({ managedFields: [{ ...entry, operation: "Update" }] }).ownedDataKeys, []);
});

test("without the marker it is not ours", () => {
  assert.equal(withMetadata({ labels: {} }).ours, false);
  assert.equal(withMetadata({ labels: { "app.kubernetes.io/managed-by": "Helm" } }).ours, false);
});

test("a revision that is no number is none", () => {
  assert.equal(withMetadata({ annotations: { "slipway.dev/revision": "9e99" } }).revision, undefined);
});

test("a namespace with a deletionTimestamp is terminating", () => {
  const namespace = observeNamespace({ metadata: { name: "a", uid: "u", deletionTimestamp: "2030-01-01T00:00:00Z" } });
  assert.deepEqual(namespace, { name: "a", uid: "u", labels: {}, annotations: {}, terminating: true });
});

test("the highest revision is of our Secrets only", () => {
  const foreign = { ...withMetadata({ labels: {}, annotations: { "slipway.dev/revision": "99" } }) };
  const store = createMemoryStore([
    ["a/slipway-pull", observeSecret(applied)],
    ["b/slipway-pull", foreign],
    ["c/slipway-pull", withMetadata({ managedFields: [] })],
  ]);
  assert.equal(highestRevision(store), 3);
  assert.equal(highestRevision(createMemoryStore()), 0);
});
