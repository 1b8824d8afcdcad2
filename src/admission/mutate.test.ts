import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { leastMs } from "../../test/fixtures/admission/least-time.ts";
import { always, mutateNew } from "../../test/fixtures/admission/mutation.ts";
import { createRequest, podOf } from "../../test/fixtures/admission/request.ts";
import { buildWorld, type WorldConfig } from "../../test/fixtures/admission/world.ts";
import { mutate } from "./mutate.ts";

describe("the same pod twice", () => {
  const configs: WorldConfig[] = [
    always,
    { ...always, registry: { mode: "LoopbackProxy" } },
    { rewrites: [{ name: "m", spec: { rules: [{ target: "mirror.example.com/all" }] } }] },
    {
      rewrites: [
        {
          name: "a",
          spec: {
            rules: [
              { match: { registry: "docker.io" }, target: "quay.io/hub" },
              { match: { registry: "quay.io" }, target: "ghcr.io/q" },
            ],
          },
        },
      ],
    },
    {
      rewrites: [
        {
          name: "a",
          spec: {
            rules: [{ match: { registry: "docker.io" }, target: "quay.io", keepHost: false }, { target: "local" }],
            when: "Always",
          },
        },
      ],
    },
  ];
  for (const [index, config] of configs.entries()) {
    test(`is the same pod once, ${index}`, () => {
      const first = mutateNew(
        config,
        podOf("nginx:1", "quay.io/a/b:1", "ghcr.io/x/y", "localhost:5000/z", "Foo/x", "auto"),
      );
      const second = mutateNew(config, first.after);
      assert.deepEqual(second.after, first.after);
      assert.equal(second.decision.kind, "untouched");
    });
  }
});

describe("what is no pod", () => {
  const odd = [undefined, null, 7, "x", [], {}, { spec: null }, { spec: [] }, { metadata: 7 }];
  for (const [index, object] of odd.entries()) {
    test(`is untouched, ${index}`, () => {
      const decision = mutate(createRequest(object), buildWorld(always));
      assert.equal(decision.kind === "untouched" && decision.reason, "unreadable-pod");
      assert.equal(decision.warnings.length, 1);
    });
  }
  const others = [
    createRequest(podOf("nginx"), { resource: { group: "apps", version: "v1", resource: "deployments" } }),
    createRequest(podOf("nginx"), { operation: "DELETE" }),
    createRequest(podOf("nginx"), { subResource: "binding" }),
    createRequest(podOf("nginx"), { operation: "UPDATE", subResource: "status" }),
  ];
  for (const request of others) {
    test(`${request.operation} of ${request.resource.resource}/${request.subResource} is untouched`, () => {
      const decision = mutate(request, buildWorld(always));
      assert.equal(decision.kind === "untouched" && decision.reason, "not-a-pod");
    });
  }
});

test("500 containers take less than 5 ms", () => {
  const world = buildWorld(always);
  const request = createRequest(podOf(...Array.from({ length: 500 }, (_, index) => `quay.io/team/app-${index}:1`)));
  const spentMs = leastMs(40, () => {
    const decision = mutate(request, world);
    assert.equal(decision.kind === "patched" && decision.counts.rewritten, 500);
  });
  assert.ok(spentMs < 5, `${spentMs}`);
});
