import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { always, imagesOf, mutateNew } from "../../test/fixtures/admission/mutation.ts";
import { createRequest, type PodParts, pod, podOf } from "../../test/fixtures/admission/request.ts";
import { buildWorld, type WorldConfig } from "../../test/fixtures/admission/world.ts";
import { mutate } from "./mutate.ts";

const leftAlone: readonly {
  readonly name: string;
  readonly config?: WorldConfig;
  readonly parts?: Partial<PodParts>;
  readonly reason: string;
}[] = [
  { name: "a mirror pod", parts: { annotations: { "kubernetes.io/config.mirror": "x" } }, reason: "mirror-pod" },
  { name: "a pod that opts out", parts: { labels: { "slipway.dev/inject": "disabled" } }, reason: "opted-out" },
  {
    name: "a namespace that opts out",
    config: { namespace: { labels: { "slipway.dev/inject": "disabled" } } },
    reason: "opted-out",
  },
  {
    name: "a confined account",
    config: { confinedAccounts: ["builder"] },
    parts: { spec: { serviceAccountName: "builder" } },
    reason: "confined-account",
  },
  {
    name: "the account default, unnamed",
    config: { confinedAccounts: ["default"] },
    parts: { spec: { serviceAccountName: "" } },
    reason: "confined-account",
  },
];

describe("a pod that is left alone", () => {
  for (const { name, config = {}, parts = {}, reason } of leftAlone) {
    test(name, () => {
      const spec = { containers: [{ name: "c", image: "nginx:1" }], ...parts.spec };
      const { decision } = mutateNew({ ...always, ...config }, pod({ ...parts, spec }));
      assert.equal(decision.kind === "untouched" && decision.reason, reason);
      assert.equal(decision.warnings.length, reason === "confined-account" ? 1 : 0);
    });
  }
  for (const namespace of ["kube-system", "slipway-system", "slipway-node"]) {
    test(`everything in ${namespace}`, () => {
      const decision = mutate(createRequest(podOf("nginx:1"), { namespace }), buildWorld(always));
      assert.equal(decision.kind === "untouched" && decision.reason, "excluded-namespace");
    });
  }
  test("a Windows pod and one with rewrite: disabled keep their references", () => {
    for (const parts of [
      { spec: { os: { name: "windows" } } },
      { spec: { nodeSelector: { "kubernetes.io/os": "windows" } } },
      { labels: { "slipway.dev/rewrite": "disabled" }, spec: {} },
    ]) {
      const spec = { containers: [{ name: "c", image: "nginx:1" }], ...parts.spec };
      assert.deepEqual(imagesOf(mutateNew(always, pod({ ...parts, spec })).after), ["nginx:1"]);
    }
    const credentialsOnly = { ...always, namespace: { labels: { "slipway.dev/rewrite": "disabled" } } };
    assert.deepEqual(imagesOf(mutateNew(credentialsOnly, podOf("nginx:1")).after), ["nginx:1"]);
  });
});
