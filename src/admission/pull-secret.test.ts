import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { always, imagesOf, mutateNew } from "../../test/fixtures/admission/mutation.ts";
import { createRequest, type PodParts, pod, podOf, updateRequest } from "../../test/fixtures/admission/request.ts";
import { buildWorld, type WorldConfig } from "../../test/fixtures/admission/world.ts";
import { needsPullSecret } from "./mutate.ts";
import { readPod } from "./pod.ts";
import { readPullSecrets } from "./pull-secret.ts";
import type { AdmissionWorld } from "./world.ts";

describe("the pull Secret", () => {
  const secretsOf = (config: WorldConfig, spec: PodParts["spec"], labels = {}): unknown =>
    mutateNew(config, pod({ labels, spec: { containers: [], ...spec } })).after.spec.imagePullSecrets;
  test("is appended to nothing", () => assert.deepEqual(secretsOf({}, {}), [{ name: "slipway-pull" }]));
  test("is appended to null", () =>
    assert.deepEqual(secretsOf({}, { imagePullSecrets: null }), [{ name: "slipway-pull" }]));
  test("is appended behind the others, in order", () =>
    assert.deepEqual(secretsOf({}, { imagePullSecrets: [{ name: "b" }, { name: "a" }] }), [
      { name: "b" },
      { name: "a" },
      { name: "slipway-pull" },
    ]));
  test("is not named twice", () => {
    const list = [{ name: "slipway-pull" }, { name: "a" }];
    assert.deepEqual(secretsOf({}, { imagePullSecrets: list }), list);
  });
  test("is not added when it would be empty", () =>
    assert.equal(secretsOf({ secret: { kind: "empty" } }, {}), undefined));
  test("is added when it cannot be relied on: it may come later, when nothing can be added any more", () =>
    assert.deepEqual(secretsOf({ secret: { kind: "unavailable", reason: "it is not ours" } }, {}), [
      { name: "slipway-pull" },
    ]));
  test("is not added when no image wants it", () => assert.equal(secretsOf({ wantedFor: [] }, {}), undefined));
  test("is added when an image wants it", () =>
    assert.deepEqual(secretsOf({ wantedFor: ["quay.io"] }, { containers: [{ name: "c", image: "quay.io/a/b" }] }), [
      { name: "slipway-pull" },
    ]));
  test("is added with a rewrite, whoever wants it", () =>
    assert.deepEqual(secretsOf({ ...always, wantedFor: [] }, { containers: [{ name: "c", image: "nginx:1" }] }), [
      { name: "slipway-pull" },
    ]));
  test("comes to pods that keep their references", () =>
    assert.deepEqual(secretsOf(always, {}, { "slipway.dev/rewrite": "disabled" }), [{ name: "slipway-pull" }]));
  test("comes to Windows pods", () =>
    assert.deepEqual(secretsOf(always, { os: { name: "windows" } }), [{ name: "slipway-pull" }]));
  test("a list of a wrong shape is left, and nothing goes to the local registry", () => {
    const { after, decision } = mutateNew(
      always,
      pod({ spec: { imagePullSecrets: "x", containers: [{ name: "c", image: "nginx:1" }] } }),
    );
    assert.equal(after.spec.imagePullSecrets, "x");
    assert.deepEqual(imagesOf(after), ["nginx:1"]);
    assert.ok(decision.warnings.length > 0);
  });
});

describe("a Secret that is late", () => {
  const late = { kind: "unavailable", reason: "late", isPassing: true } as const;
  const ours = [{ name: "slipway-pull" }];
  const cases = [
    { name: "comes for a pod that is made to name it", spec: {}, isCreate: true, want: true },
    { name: "comes for a pod that names it", spec: { imagePullSecrets: ours }, isCreate: false, want: true },
    { name: "is of no use to a pod that exists without its name", spec: {}, isCreate: false, want: false },
    { name: "is of no use where its name has no place", spec: { imagePullSecrets: "x" }, isCreate: true, want: false },
  ];
  for (const { name, spec, isCreate, want } of cases) {
    test(name, () => {
      const reading = readPod(pod({ spec: { containers: [], ...spec } })) ?? assert.fail();
      const { isPassing, problem } = readPullSecrets(reading, late, isCreate);
      assert.equal(isPassing, want);
      assert.match(problem ?? "", /late/);
    });
  }
});

describe("the pull Secret is looked at before", () => {
  const world = buildWorld({}) as AdmissionWorld;
  test("on CREATE", () => assert.ok(needsPullSecret(createRequest(podOf("x")), world)));
  test("not on UPDATE", () => assert.ok(!needsPullSecret(updateRequest(podOf("x"), podOf("y")), world)));
  test("not for a pod that opts out", () =>
    assert.ok(!needsPullSecret(createRequest(pod({ labels: { "slipway.dev/inject": "disabled" }, spec: {} })), world)));
  test("not for what is no pod", () => assert.ok(!needsPullSecret(createRequest(null), world)));
});
