import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  always,
  imagesOf,
  localHost,
  type Mutation,
  mirroredNginx,
  mutateUpdate,
  namesSecret,
  originalsOf,
  someDigest,
} from "../../test/fixtures/admission/mutation.ts";
import { type PodParts, pod, podOf } from "../../test/fixtures/admission/request.ts";
import type { WorldConfig } from "../../test/fixtures/admission/world.ts";

describe("a pod that is applied again", () => {
  const running = pod({ spec: { ...namesSecret, containers: [{ name: "c", image: mirroredNginx }] } });
  const applied = (image: string): unknown => pod({ spec: { ...namesSecret, containers: [{ name: "c", image }] } });
  const updated = (config: WorldConfig, before: unknown, after: unknown): Mutation & { images: unknown[] } => {
    const mutation = mutateUpdate(config, { before, after });
    return { ...mutation, images: imagesOf(mutation.after) };
  };
  const cases: readonly { name: string; config: WorldConfig; from?: string; to: string; want: string }[] = [
    { name: "gets its reference back, the catalogue empty meanwhile", config: {}, to: "nginx:1", want: mirroredNginx },
    { name: "whatever the catalogue", config: { catalogue: null }, to: "nginx:1", want: mirroredNginx },
    {
      name: "whatever the gate",
      config: { failingNodes: { "": "x" } },
      to: "docker.io/library/nginx:1",
      want: mirroredNginx,
    },
    { name: "whatever the rules", config: { rewrites: [] }, to: "index.docker.io/nginx:1", want: mirroredNginx },
    { name: "whatever the mode", config: { registry: { mode: "LoopbackProxy" } }, to: "nginx:1", want: mirroredNginx },
    {
      name: "whatever the Secret",
      config: { secret: { kind: "unavailable", reason: "x" } },
      to: "nginx:1",
      want: mirroredNginx,
    },
    {
      name: "under an old name of the registry",
      config: { registry: { host: "new.example.com", aliases: [localHost] } },
      to: "nginx:1",
      want: mirroredNginx,
    },
    {
      name: "under the loopback address of a mode that is gone",
      config: {},
      from: "127.0.0.1:7443/docker.io/library/nginx:1",
      to: "nginx:1",
      want: "127.0.0.1:7443/docker.io/library/nginx:1",
    },
    {
      name: "where an alias was turned into the loopback address",
      config: { registry: { mode: "LoopbackProxy" } },
      from: "127.0.0.1:7443/team/app:1",
      to: `${localHost}/team/app:1`,
      want: "127.0.0.1:7443/team/app:1",
    },
    {
      name: "the same when the mode is another now",
      config: {},
      from: "127.0.0.1:7443/team/app:1",
      to: `${localHost}/team/app:1`,
      want: "127.0.0.1:7443/team/app:1",
    },
    { name: "a new tag stands", config: {}, to: "nginx:2", want: "nginx:2" },
    { name: "a new digest stands", config: {}, to: `nginx:1@${someDigest}`, want: `nginx:1@${someDigest}` },
    { name: "a tag left out stands", config: {}, to: "nginx", want: "nginx" },
    { name: "another path stands", config: {}, to: "grafana/nginx:1", want: "grafana/nginx:1" },
    {
      name: "another alias of the same image stands",
      config: {},
      from: `${localHost}/team/app:1`,
      to: `${localHost}.cluster.local/team/app:1`,
      want: `${localHost}.cluster.local/team/app:1`,
    },
    {
      name: "a new image that is present is rewritten",
      config: { catalogue: ["docker.io/library/nginx:2"] },
      to: "nginx:2",
      want: `${localHost}/docker.io/library/nginx:2`,
    },
    {
      name: "a name that only ends like ours is not put back",
      config: {},
      from: `evil.example.com/docker.io/library/nginx:1`,
      to: "nginx:1",
      want: "nginx:1",
    },
  ];
  for (const { name, config, from = mirroredNginx, to, want } of cases) {
    test(name, () => assert.deepEqual(updated(config, applied(from), applied(to)).images, [want]));
  }
  test("and labels are no matter", () => {
    const after = pod({
      labels: { a: "changed" },
      spec: { ...namesSecret, containers: [{ name: "c", image: "nginx:1" }] },
    });
    assert.deepEqual(updated({}, running, after).images, [mirroredNginx]);
  });
  test("nothing but references is patched", () => {
    const without = pod({ spec: { containers: [{ name: "c", image: "nginx:1" }] } });
    const { decision } = updated({}, running, without);
    assert.deepEqual(decision.kind === "patched" && decision.patch, [
      { op: "replace", path: "/spec/containers/0/image", value: mirroredNginx },
    ]);
  });
  test("an unchanged image is not looked at", () => {
    const { decision } = updated(always, podOf("redis:7"), podOf("redis:7"));
    assert.equal(decision.kind === "untouched" && decision.reason, "nothing-to-do");
  });
  test("a really new image stays when the pod does not name the Secret, with a warning", () => {
    const { images, decision } = updated(always, podOf("redis:7"), podOf("nginx:1"));
    assert.deepEqual(images, ["nginx:1"]);
    assert.equal(decision.warnings.length, 1);
    assert.match(decision.warnings[0] ?? "", /slipway-pull/);
  });
  test("after opting out nothing is put back", () => {
    const optedOut = pod({
      labels: { "slipway.dev/inject": "disabled" },
      spec: { containers: [{ name: "c", image: "nginx:1" }] },
    });
    assert.deepEqual(updated({}, running, optedOut).images, ["nginx:1"]);
  });
  test("init containers and image volumes are put back too", () => {
    const spec = (image: string): PodParts["spec"] => ({
      initContainers: [{ name: "i", image }],
      containers: [{ name: "c", image: "x" }],
      volumes: [{ name: "v", image: { reference: image } }],
    });
    const after = pod({ spec: spec("nginx:1") });
    const mutation = mutateUpdate({}, { before: pod({ spec: spec(mirroredNginx) }), after });
    assert.deepEqual(mutation.after, pod({ spec: spec(mirroredNginx) }));
  });
  test("a planted annotation puts nothing back, and its entry goes with the new image", () => {
    const annotations = { "slipway.dev/original-images": '{"containers":{"c":"admin:2","d":"x"}}' };
    const spec = (image: string): PodParts["spec"] => ({ ...namesSecret, containers: [{ name: "c", image }] });
    const after = pod({ annotations, spec: spec("admin:2") });
    const before = pod({ annotations, spec: spec(mirroredNginx) });
    const { after: result } = mutateUpdate({}, { before, after });
    assert.deepEqual(imagesOf(result), ["admin:2"]);
    assert.deepEqual(originalsOf(result), { containers: { d: "x" } });
  });
  describe("at a rule's target", () => {
    const rules = [
      { match: { registry: "quay.io", repository: "team/**" }, target: "mirror.example.com/q", keepHost: false },
      { match: { registry: "docker.io" }, target: "mirror.example.com/hub" },
    ];
    const config: WorldConfig = { rewrites: [{ name: "m", spec: { rules } }] };
    const targets = [
      { name: "kept host", from: "mirror.example.com/hub/docker.io/library/nginx:1", to: "nginx:1", back: true },
      { name: "dropped host", from: "mirror.example.com/q/team/app:1", to: "quay.io/team/app:1", back: true },
      {
        name: "a dropped host that is another",
        from: "mirror.example.com/q/team/app:1",
        to: "ghcr.io/team/app:1",
        back: false,
      },
      {
        name: "a path that the rule does not match",
        from: "mirror.example.com/q/other/app:1",
        to: "quay.io/other/app:1",
        back: false,
      },
    ];
    for (const { name, from, to, back } of targets) {
      test(name, () => assert.deepEqual(updated(config, applied(from), applied(to)).images, [back ? from : to]));
    }
  });
});
