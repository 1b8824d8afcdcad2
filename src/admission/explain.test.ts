import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createRequest, pod, podOf } from "../../test/fixtures/admission/request.ts";
import { buildWorld, type WorldConfig } from "../../test/fixtures/admission/world.ts";
import { type Explanation, explainPod } from "./explain.ts";
import { mutate } from "./mutate.ts";

const local = "registry.slipway-system.svc";
const explain = (
  config: WorldConfig,
  object: unknown,
  optedIn = true,
): { explanation: Explanation; hasFindings: boolean } => {
  const outcome = explainPod(object, buildWorld(config), {
    optedIn,
    credential: (image) => (image.startsWith(local) ? `slipway-pull (${local})` : null),
  });
  assert.ok(outcome.kind === "explained");
  return outcome;
};

test("the whole form, for one image that is rewritten and one that is not", () => {
  const { explanation, hasFindings } = explain(
    { catalogue: ["docker.io/library/nginx:1"] },
    podOf("nginx:1", "a/b@sha256:zz"),
  );
  const result = `${local}/docker.io/library/nginx:1`;
  assert.equal(hasFindings, true);
  assert.deepEqual(explanation.images, [
    {
      path: "spec.containers[0].image",
      original: "nginx:1",
      reference: { registry: "docker.io", repository: "library/nginx", tag: "1", digest: null },
      error: null,
      rule: "default#1",
      result,
      reason: "rewritten by the first rule that matches",
      present: true,
      credential: `slipway-pull (${local})`,
    },
    {
      path: "spec.containers[1].image",
      original: "a/b@sha256:zz",
      reference: null,
      error: {
        code: "REFERENCE_INVALID",
        message:
          "the image reference does not follow the distribution grammar: the digest has 'z' among its lower-case hex characters (character 12)",
      },
      rule: null,
      result: "a/b@sha256:zz",
      reason: "the digest has 'z' among its lower-case hex characters (character 12)",
      present: null,
      credential: null,
    },
  ]);
  assert.deepEqual(explanation.imagePullSecrets, ["slipway-pull"]);
  assert.equal(explanation.warnings.length, 1);
  assert.deepEqual(
    explanation.patch.map(({ path }) => path),
    [
      "/spec/containers/0/image",
      "/spec/imagePullSecrets",
      "/spec/imagePullSecrets/-",
      "/metadata/annotations",
      "/metadata/annotations/slipway.dev~1original-images",
    ],
  );
});

const reasons: readonly {
  readonly name: string;
  readonly config?: WorldConfig;
  readonly object: unknown;
  readonly optedIn?: boolean;
  readonly reason: RegExp;
  readonly present: boolean | null;
  readonly rule: string | null;
}[] = [
  {
    name: "a namespace that is not opted in",
    object: podOf("nginx:1"),
    optedIn: false,
    reason: /not opted in/,
    present: null,
    rule: null,
  },
  {
    name: "an image that is not present names sharedRepositories",
    object: podOf("quay.io/a/b:1"),
    reason: /quay\.io\/a\/b.*sharedRepositories/,
    present: false,
    rule: "default#1",
  },
  { name: "no rule", config: { rewrites: [] }, object: podOf("nginx:1"), reason: /no rule/, present: null, rule: null },
  {
    name: "a catalogue that is not known",
    config: { catalogue: null },
    object: podOf("nginx:1"),
    reason: /not known/,
    present: null,
    rule: "default#1",
  },
  {
    name: "a closed gate names node and reason",
    config: { catalogue: ["docker.io/library/nginx:1"], failingNodes: { "": "ConfigPathUnset" } },
    object: podOf("nginx:1"),
    reason: /worker-1.*ConfigPathUnset/,
    present: true,
    rule: "default#1",
  },
  {
    name: "an image of the local registry",
    config: { catalogue: ["team/app:1"] },
    object: podOf(`${local}/team/app:1`),
    reason: /names the local registry/,
    present: true,
    rule: null,
  },
  {
    name: "another registry",
    config: { rewrites: [{ name: "m", spec: { rules: [{ target: "m.io" }] } }] },
    object: podOf("nginx:1"),
    reason: /rewritten/,
    present: null,
    rule: "m#1",
  },
  {
    name: "a mirror pod",
    object: pod({
      annotations: { "kubernetes.io/config.mirror": "x" },
      spec: { containers: [{ name: "c", image: "nginx:1" }] },
    }),
    reason: /static pod/,
    present: null,
    rule: null,
  },
  {
    name: "a pod that opts out",
    object: pod({
      labels: { "slipway.dev/inject": "disabled" },
      spec: { containers: [{ name: "c", image: "nginx:1" }] },
    }),
    reason: /opts out/,
    present: null,
    rule: null,
  },
  {
    name: "a confined account",
    config: { confinedAccounts: ["default"] },
    object: podOf("nginx:1"),
    reason: /enforce-mountable-secrets/,
    present: null,
    rule: null,
  },
  {
    name: "a Windows pod",
    object: pod({ spec: { os: { name: "windows" }, containers: [{ name: "c", image: "nginx:1" }] } }),
    reason: /Windows/,
    present: null,
    rule: null,
  },
];

describe("the reason", () => {
  for (const { name, config = {}, object, optedIn = true, reason, present, rule } of reasons) {
    test(name, () => {
      const [image] = explain(config, object, optedIn).explanation.images;
      assert.match(image?.reason ?? "", reason);
      assert.deepEqual([image?.present, image?.rule], [present, rule]);
    });
  }
  test("what is no pod is said so", () =>
    assert.equal(explainPod(7, buildWorld({}), { optedIn: true, credential: () => null }).kind, "not-a-pod"));
});

test("explain says what mutate does", () => {
  const image = fc.constantFrom("nginx:1", "auto", "", "x y", `${local}/a`, "quay.io/a/b:1", "localhost/x", 7, null);
  const labels = fc.constantFrom({}, { "slipway.dev/inject": "disabled" }, { "slipway.dev/rewrite": "disabled" });
  const config = fc.constantFrom<WorldConfig>(
    {},
    { catalogue: ["docker.io/library/nginx:1"] },
    { rewrites: [{ name: "a", spec: { rules: [{ target: "local" }], when: "Always" } }] },
    { registry: { mode: "LoopbackProxy" } },
    { confinedAccounts: ["default"] },
    { secret: { kind: "unavailable", reason: "x" } },
  );
  fc.assert(
    fc.property(fc.array(image, { maxLength: 4 }), labels, config, (images, own, facts) => {
      const object = pod({
        labels: own,
        spec: { containers: images.map((value, index) => ({ name: `c${index}`, image: value })) },
      });
      const decision = mutate(createRequest(object), buildWorld(facts));
      const { explanation } = explain(facts, object);
      assert.deepEqual(explanation.patch, decision.kind === "patched" ? decision.patch : []);
      assert.deepEqual(explanation.warnings, decision.warnings);
    }),
    { numRuns: 500 },
  );
});
