import assert from "node:assert/strict";
import test from "node:test";
import { secretWriterContract } from "../../test/contract/secret-writer.ts";
import { createMemorySecrets } from "../../test/fake/secret-writer.ts";
import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { PullSecret } from "./desired.ts";
import { createSecretWriter } from "./secret-writer.ts";

secretWriterContract("a writer in memory", async () => {
  const secrets = createMemorySecrets();
  secrets.addNamespace("a");
  return {
    writer: secrets.writer,
    namespace: "a",
    placeForeign: async () =>
      secrets.place({
        namespace: "a",
        name: "slipway-pull",
        uid: "foreign",
        resourceVersion: "0",
        ours: false,
        deleting: false,
        revision: undefined,
        contentHash: undefined,
        namespaceUid: undefined,
        ownedDataKeys: [],
      }),
    edit: async () => secrets.edit("a"),
    content: async () => secrets.contentOf("a"),
  };
});

const secret: PullSecret = {
  name: "slipway-pull",
  namespace: "a",
  annotations: {},
  data: { ".dockerconfigjson": "{}" },
  contentHash: "h",
  revision: 1,
  namespaceUid: "u",
};
const signal = new AbortController().signal;

function writerOver(failure: ApiError, current?: KubernetesObject) {
  const api: Partial<ClusterApi> = {
    apply: () => Promise.reject(failure),
    get: () =>
      current === undefined
        ? Promise.reject(new ApiError({ status: 404, reason: "NotFound", message: "not found" }))
        : Promise.resolve(current),
  };
  return createSecretWriter({ api: api as ClusterApi });
}
const apply = (failure: ApiError, current?: KubernetesObject) =>
  writerOver(failure, current).apply({ secret, known: undefined, force: false }, signal);

const answers = [
  {
    name: "a quota without room",
    failure: {
      status: 403,
      reason: "Forbidden",
      message:
        'secrets "slipway-pull" is forbidden: exceeded quota: q, requested: secrets=1, used: secrets=0, limited: secrets=0',
    },
    want: ["forbidden", "QuotaExceeded"],
  },
  {
    name: "an admission policy",
    failure: {
      status: 422,
      reason: "Invalid",
      message: "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
    },
    want: ["forbidden", "PolicyDenied"],
  },
  {
    name: "an admission webhook",
    failure: { status: 403, reason: "Forbidden", message: 'admission webhook "w" denied the request: no' },
    want: ["forbidden", "PolicyDenied"],
  },
  {
    name: "missing rights",
    failure: { status: 403, reason: "Forbidden", message: 'User "u" cannot patch resource "secrets"' },
    want: ["forbidden", "RightsMissing"],
  },
  {
    name: "a namespace that is terminating",
    failure: { status: 403, reason: "Forbidden", message: "being terminated", causes: ["NamespaceTerminating"] },
    want: ["gone", undefined],
  },
  {
    name: "a namespace that is gone",
    failure: { status: 404, reason: "NotFound", message: "" },
    want: ["gone", undefined],
  },
  {
    name: "another manager",
    failure: { status: 409, reason: "Conflict", message: "", causes: ["FieldManagerConflict"] },
    want: ["conflict", undefined],
  },
  { name: "another version", failure: { status: 409, reason: "Conflict", message: "" }, want: ["stale", undefined] },
];
for (const { name, failure, want } of answers) {
  test(`an answer has one meaning: ${name}`, async () => {
    const outcome = await apply(new ApiError(failure));
    assert.deepEqual([outcome.kind, outcome.kind === "forbidden" ? outcome.reason : undefined], want);
  });
}

for (const status of [429, 500, 503, 0]) {
  test(`what may pass is thrown: ${status}`, async () => {
    const failure = new ApiError({ status, reason: "", message: "" });
    await assert.rejects(apply(failure), failure);
  });
}

const invalid = new ApiError({ status: 422, reason: "Invalid", message: "field is immutable" });
const ours = {
  name: "slipway-pull",
  uid: "u",
  resourceVersion: "7",
  labels: { "app.kubernetes.io/managed-by": "slipway" },
};
const type = "kubernetes.io/dockerconfigjson";

test("a change that is invalid is explained by the Secret that is there", async () => {
  assert.deepEqual(await apply(invalid, { metadata: ours, type, immutable: true }), {
    kind: "unchangeable",
    cause: "immutable",
    uid: "u",
    resourceVersion: "7",
  });
  const typed = await apply(invalid, { metadata: ours, type: "Opaque" });
  assert.equal(typed.kind === "unchangeable" && typed.cause, "type");
  assert.equal((await apply(invalid, { metadata: { name: "slipway-pull" }, type: "Opaque" })).kind, "conflict");
  assert.equal((await apply(invalid)).kind, "stale");
  await assert.rejects(apply(invalid, { metadata: ours, type }), invalid);
});
