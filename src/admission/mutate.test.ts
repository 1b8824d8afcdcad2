import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { applyDecision } from "../../test/fixtures/admission/apply.ts";
import { leastMs } from "../../test/fixtures/admission/least-time.ts";
import { createRequest, type PodParts, pod, podOf, updateRequest } from "../../test/fixtures/admission/request.ts";
import { buildWorld, type WorldConfig } from "../../test/fixtures/admission/world.ts";
import type { Decision } from "./decision.ts";
import { mutate, needsPullSecret } from "./mutate.ts";
import type { AdmissionWorld } from "./world.ts";

const local = "registry.slipway-system.svc";
const mirrored = `${local}/docker.io/library/nginx:1`;
const holdsNginx: WorldConfig = { catalogue: ["docker.io/library/nginx:1"] };
const always: WorldConfig = { rewrites: [{ name: "default", spec: { rules: [{ target: "local" }], when: "Always" } }] };
const named = { imagePullSecrets: [{ name: "slipway-pull" }] };
const digest = `sha256:${"a".repeat(64)}`;

type Pod = {
  readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>;
};

function run(config: WorldConfig, object: unknown): { readonly decision: Decision; readonly after: Pod } {
  const decision = mutate(createRequest(object), buildWorld(config));
  return { decision, after: applyDecision(object, decision) as Pod };
}

function imagesOf(after: Pod): unknown[] {
  return (after.spec.containers ?? []).map(({ image }) => image);
}

function originals(after: Pod): unknown {
  const text = after.metadata?.annotations?.["slipway.dev/original-images"];
  return text === undefined ? undefined : JSON.parse(text);
}

const onImages: readonly {
  readonly name: string;
  readonly config: WorldConfig;
  readonly image: unknown;
  readonly want: unknown;
  readonly warns?: boolean;
}[] = [
  { name: "an image that the local registry has is rewritten", config: holdsNginx, image: "nginx:1", want: mirrored },
  { name: "one that it has not stays", config: holdsNginx, image: "nginx:2", want: "nginx:2" },
  {
    name: "tag and digest are both kept",
    config: { catalogue: [`quay.io/a/b@${digest}`] },
    image: `quay.io/a/b:1@${digest}`,
    want: `${local}/quay.io/a/b:1@${digest}`,
  },
  {
    name: "a digest must itself be known",
    config: { catalogue: ["quay.io/a/b:1"] },
    image: `quay.io/a/b:1@${digest}`,
    want: `quay.io/a/b:1@${digest}`,
  },
  {
    name: "no tag means latest, and none is added",
    config: { catalogue: ["docker.io/library/nginx:latest"] },
    image: "nginx",
    want: `${local}/docker.io/library/nginx`,
  },
  {
    name: "a reference to the local registry stays",
    config: always,
    image: `${local}/team/app:1`,
    want: `${local}/team/app:1`,
  },
  {
    name: "an alias stays too",
    config: { ...always, registry: { aliases: ["container-registry.local:5000"] } },
    image: "container-registry.local:5000/app:1",
    want: "container-registry.local:5000/app:1",
  },
  {
    name: "a name that only begins like the local registry's does not count",
    config: always,
    image: `${local}.example.com/x:1`,
    want: `${local}/${local}.example.com/x:1`,
  },
  {
    name: "a catalogue that is not known rewrites nothing",
    config: { catalogue: null },
    image: "nginx:1",
    want: "nginx:1",
    warns: true,
  },
  { name: "when: Always asks no catalogue", config: { ...always, catalogue: null }, image: "nginx:1", want: mirrored },
  {
    name: "a closed gate keeps references",
    config: { ...holdsNginx, failingNodes: { "": "ConfigPathUnset" } },
    image: "nginx:1",
    want: "nginx:1",
    warns: true,
  },
  {
    name: "a closed gate is silent about what is not there",
    config: { failingNodes: { "": "x" } },
    image: "nginx:1",
    want: "nginx:1",
  },
  {
    name: "when: Always goes past a closed gate and warns",
    config: { ...always, failingNodes: { "": "ConfigPathUnset" } },
    image: "nginx:1",
    want: mirrored,
    warns: true,
  },
  {
    name: "until node access is decided nothing is rewritten",
    config: { ...holdsNginx, registry: { mode: null } },
    image: "nginx:1",
    want: "nginx:1",
    warns: true,
  },
  {
    name: "not even under Always",
    config: { ...always, registry: { mode: null } },
    image: "nginx:1",
    want: "nginx:1",
    warns: true,
  },
  { name: "without a LocalRegistry references stay", config: { registry: null }, image: "nginx:1", want: "nginx:1" },
  {
    name: "without the Secret references stay",
    config: { ...always, secret: { kind: "unavailable", reason: "it is not ours" } },
    image: "nginx:1",
    want: "nginx:1",
    warns: true,
  },
  {
    name: "with an empty Secret too",
    config: { ...always, secret: { kind: "empty" } },
    image: "nginx:1",
    want: "nginx:1",
    warns: true,
  },
  { name: "localhost is never mapped", config: always, image: "localhost/x:1", want: "localhost/x:1", warns: true },
  {
    name: "an IPv6 registry is never mapped",
    config: always,
    image: "[::1]:5000/x",
    want: "[::1]:5000/x",
    warns: true,
  },
  {
    name: "a path that would get too long stays",
    config: always,
    image: `quay.io/${"a".repeat(250)}`,
    want: `quay.io/${"a".repeat(250)}`,
    warns: true,
  },
  { name: "auto is Istio's", config: always, image: "auto", want: "auto", warns: true },
  { name: "an empty image stays", config: always, image: "", want: "", warns: true },
  { name: "an unreadable image stays", config: always, image: "Not An Image", want: "Not An Image", warns: true },
  { name: "an image that is no string stays", config: always, image: 7, want: 7, warns: true },
  {
    name: "in LoopbackProxy mode images go to the loopback address",
    config: { ...holdsNginx, registry: { mode: "LoopbackProxy" } },
    image: "nginx:1",
    want: "127.0.0.1:7443/docker.io/library/nginx:1",
  },
  {
    name: "the Service's name is turned into it",
    config: { registry: { mode: "LoopbackProxy" } },
    image: `${local}/team/app:1@${digest}`,
    want: `127.0.0.1:7443/team/app:1@${digest}`,
  },
  {
    name: "so is every alias",
    config: { registry: { mode: "LoopbackProxy", aliases: ["r.local:5000"] } },
    image: "R.local:5000/app",
    want: "127.0.0.1:7443/app",
  },
  {
    name: "the loopback address itself stays",
    config: { registry: { mode: "LoopbackProxy" } },
    image: "127.0.0.1:7443/app:1",
    want: "127.0.0.1:7443/app:1",
  },
  {
    name: "in another mode a loopback name stays",
    config: { ...always, registry: { mode: "HostsToml" } },
    image: "127.0.0.1:7443/app:1",
    want: "127.0.0.1:7443/app:1",
  },
  {
    name: "without the Secret an alias is not turned either",
    config: { registry: { mode: "LoopbackProxy" }, secret: { kind: "unavailable", reason: "quota" } },
    image: `${local}/app:1`,
    want: `${local}/app:1`,
    warns: true,
  },
];

describe("an image on CREATE", () => {
  for (const { name, config, image, want, warns } of onImages) {
    test(name, () => {
      const { decision, after } = run(config, podOf(image));
      assert.deepEqual(imagesOf(after), [want]);
      const about = decision.warnings.filter((warning) => warning.includes('"c0"'));
      assert.equal(about.length, warns === true ? 1 : 0, JSON.stringify(decision.warnings));
    });
  }
  test("one that cannot be read costs the others nothing", () => {
    const { after } = run(always, podOf("nginx:1", "::::", "quay.io/a/b:2"));
    assert.deepEqual(imagesOf(after), [mirrored, "::::", `${local}/quay.io/a/b:2`]);
  });
  test("imagePullPolicy is never touched", () => {
    const container = { name: "a", image: "nginx", imagePullPolicy: "Always" };
    const { after } = run(always, pod({ spec: { containers: [container] } }));
    assert.deepEqual(after.spec.containers, [{ ...container, image: `${local}/docker.io/library/nginx` }]);
  });
  test("init containers, sidecars, ephemeral containers and image volumes are covered", () => {
    const spec = {
      initContainers: [{ name: "i", image: "nginx:1", restartPolicy: "Always" }],
      containers: [{ name: "c", image: "nginx:1" }],
      ephemeralContainers: [{ name: "e", image: "nginx:1" }],
      volumes: [
        { name: "none", emptyDir: {} },
        { name: "v", image: { reference: "nginx:1", pullPolicy: "Always" } },
      ],
    };
    const { after } = run(always, pod({ spec }));
    assert.deepEqual(after.spec, {
      serviceAccountName: "default",
      initContainers: [{ name: "i", image: mirrored, restartPolicy: "Always" }],
      containers: [{ name: "c", image: mirrored }],
      ephemeralContainers: [{ name: "e", image: mirrored }],
      volumes: [
        { name: "none", emptyDir: {} },
        { name: "v", image: { reference: mirrored, pullPolicy: "Always" } },
      ],
      ...named,
    });
    assert.deepEqual(originals(after), { containers: { i: "nginx:1", c: "nginx:1" }, volumes: { v: "nginx:1" } });
  });
  test("what IfPresent missed is named for a look in the background", () => {
    const { decision } = run({}, podOf("nginx", `quay.io/a/b@${digest}`));
    assert.deepEqual(decision.missed, [
      { repository: "docker.io/library/nginx", tag: "latest", digest: undefined },
      { repository: "quay.io/a/b", tag: undefined, digest },
    ]);
  });
});

describe("the pull Secret", () => {
  const secretsOf = (config: WorldConfig, spec: PodParts["spec"], labels = {}): unknown =>
    run(config, pod({ labels, spec: { containers: [], ...spec } })).after.spec.imagePullSecrets;
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
  test("is not added when another owns the name", () =>
    assert.equal(secretsOf({ secret: { kind: "unavailable", reason: "it is not ours" } }, {}), undefined));
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
    const { after, decision } = run(
      always,
      pod({ spec: { imagePullSecrets: "x", containers: [{ name: "c", image: "nginx:1" }] } }),
    );
    assert.equal(after.spec.imagePullSecrets, "x");
    assert.deepEqual(imagesOf(after), ["nginx:1"]);
    assert.ok(decision.warnings.length > 0);
  });
});

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
      const { decision } = run({ ...always, ...config }, pod({ ...parts, spec }));
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
      assert.deepEqual(imagesOf(run(always, pod({ ...parts, spec })).after), ["nginx:1"]);
    }
    const credentialsOnly = { ...always, namespace: { labels: { "slipway.dev/rewrite": "disabled" } } };
    assert.deepEqual(imagesOf(run(credentialsOnly, podOf("nginx:1")).after), ["nginx:1"]);
  });
});

describe("the annotation", () => {
  const planted = { "slipway.dev/original-images": '{"containers":{"c0":"evil:1"}}', other: "x" };
  const annotated = (annotations: Record<string, string>, ...images: readonly string[]): unknown => {
    const { spec } = podOf(...images) as { spec: Record<string, unknown> };
    return pod({ annotations, spec });
  };
  test("a foreign one is removed", () => {
    const { after } = run({}, annotated(planted, "nginx:1"));
    assert.deepEqual(after.metadata?.annotations, { other: "x" });
  });
  test("a foreign one is replaced", () => {
    const { after } = run(always, annotated(planted, "nginx:1"));
    assert.deepEqual(originals(after), { containers: { c0: "nginx:1" } });
  });
  test("an entry goes when its image is another by the second pass", () => {
    const first = run(always, podOf("nginx:1", "redis:7")).after;
    const other = structuredClone(first) as { spec: { containers: { image: string }[] } };
    Object.assign(other.spec.containers[0] ?? {}, { image: "localhost/other" });
    assert.deepEqual(originals(run(always, other).after), { containers: { c1: "redis:7" } });
  });
  test("a container called __proto__ has its entry", () => {
    const { after } = run(always, pod({ spec: { containers: [{ name: "__proto__", image: "nginx:1" }] } }));
    assert.equal(
      after.metadata?.annotations?.["slipway.dev/original-images"],
      '{"containers":{"__proto__":"nginx:1"}}',
    );
  });
  test("is not written when annotations would pass 256 KiB", () => {
    const { after, decision } = run(always, annotated({ big: "x".repeat(256 * 1024 - 60) }, "nginx:1"));
    assert.deepEqual(imagesOf(after), [mirrored]);
    assert.deepEqual(Object.keys(after.metadata?.annotations ?? {}), ["big"]);
    assert.equal(decision.warnings.length, 1);
  });
  test("metadata and annotations are added when missing", () => {
    for (const metadata of [undefined, null, {}, { annotations: null }]) {
      const object = { metadata, spec: { containers: [{ name: "c", image: "nginx:1" }] } };
      assert.deepEqual(originals(run(always, metadata === undefined ? { spec: object.spec } : object).after), {
        containers: { c: "nginx:1" },
      });
    }
  });
});

describe("a pod that is applied again", () => {
  const running = pod({ spec: { ...named, containers: [{ name: "c", image: mirrored }] } });
  const applied = (image: string): unknown => pod({ spec: { ...named, containers: [{ name: "c", image }] } });
  const updated = (config: WorldConfig, before: unknown, after: unknown): { images: unknown[]; decision: Decision } => {
    const decision = mutate(updateRequest(before, after), buildWorld(config));
    return { images: imagesOf(applyDecision(after, decision) as Pod), decision };
  };
  const cases: readonly { name: string; config: WorldConfig; from?: string; to: string; want: string }[] = [
    { name: "gets its reference back, the catalogue empty meanwhile", config: {}, to: "nginx:1", want: mirrored },
    { name: "whatever the catalogue", config: { catalogue: null }, to: "nginx:1", want: mirrored },
    {
      name: "whatever the gate",
      config: { failingNodes: { "": "x" } },
      to: "docker.io/library/nginx:1",
      want: mirrored,
    },
    { name: "whatever the rules", config: { rewrites: [] }, to: "index.docker.io/nginx:1", want: mirrored },
    { name: "whatever the mode", config: { registry: { mode: "LoopbackProxy" } }, to: "nginx:1", want: mirrored },
    {
      name: "whatever the Secret",
      config: { secret: { kind: "unavailable", reason: "x" } },
      to: "nginx:1",
      want: mirrored,
    },
    {
      name: "under an old name of the registry",
      config: { registry: { host: "new.example.com", aliases: [local] } },
      to: "nginx:1",
      want: mirrored,
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
      to: `${local}/team/app:1`,
      want: "127.0.0.1:7443/team/app:1",
    },
    {
      name: "the same when the mode is another now",
      config: {},
      from: "127.0.0.1:7443/team/app:1",
      to: `${local}/team/app:1`,
      want: "127.0.0.1:7443/team/app:1",
    },
    { name: "a new tag stands", config: {}, to: "nginx:2", want: "nginx:2" },
    { name: "a new digest stands", config: {}, to: `nginx:1@${digest}`, want: `nginx:1@${digest}` },
    { name: "a tag left out stands", config: {}, to: "nginx", want: "nginx" },
    { name: "another path stands", config: {}, to: "grafana/nginx:1", want: "grafana/nginx:1" },
    {
      name: "another alias of the same image stands",
      config: {},
      from: `${local}/team/app:1`,
      to: `${local}.cluster.local/team/app:1`,
      want: `${local}.cluster.local/team/app:1`,
    },
    {
      name: "a new image that is present is rewritten",
      config: { catalogue: ["docker.io/library/nginx:2"] },
      to: "nginx:2",
      want: `${local}/docker.io/library/nginx:2`,
    },
    {
      name: "a name that only ends like ours is not put back",
      config: {},
      from: `evil.example.com/docker.io/library/nginx:1`,
      to: "nginx:1",
      want: "nginx:1",
    },
  ];
  for (const { name, config, from = mirrored, to, want } of cases) {
    test(name, () => assert.deepEqual(updated(config, applied(from), applied(to)).images, [want]));
  }
  test("and labels are no matter", () => {
    const after = pod({ labels: { a: "changed" }, spec: { ...named, containers: [{ name: "c", image: "nginx:1" }] } });
    assert.deepEqual(updated({}, running, after).images, [mirrored]);
  });
  test("nothing but references is patched", () => {
    const without = pod({ spec: { containers: [{ name: "c", image: "nginx:1" }] } });
    const { decision } = updated({}, running, without);
    assert.deepEqual(decision.kind === "patched" && decision.patch, [
      { op: "replace", path: "/spec/containers/0/image", value: mirrored },
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
    const decision = mutate(updateRequest(pod({ spec: spec(mirrored) }), after), buildWorld({}));
    assert.deepEqual(applyDecision(after, decision), pod({ spec: spec(mirrored) }));
  });
  test("a planted annotation puts nothing back, and its entry goes with the new image", () => {
    const annotations = { "slipway.dev/original-images": '{"containers":{"c":"admin:2","d":"x"}}' };
    const spec = (image: string): PodParts["spec"] => ({ ...named, containers: [{ name: "c", image }] });
    const after = pod({ annotations, spec: spec("admin:2") });
    const decision = mutate(updateRequest(pod({ annotations, spec: spec(mirrored) }), after), buildWorld({}));
    const result = applyDecision(after, decision) as Pod;
    assert.deepEqual(imagesOf(result), ["admin:2"]);
    assert.deepEqual(originals(result), { containers: { d: "x" } });
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

describe("kubectl debug", () => {
  const withDebugger = (spec: PodParts["spec"], ...images: readonly string[]): unknown =>
    pod({
      spec: {
        ...spec,
        containers: [{ name: "c", image: "redis:7" }],
        ephemeralContainers: images.map((image, index) => ({
          name: `debugger-${index}`,
          image,
          targetContainerName: "c",
        })),
      },
    });
  const debug = (before: unknown, after: unknown): { images: unknown[]; decision: Decision } => {
    const decision = mutate(updateRequest(before, after, "ephemeralcontainers"), buildWorld(always));
    const result = applyDecision(after, decision) as Pod;
    return { images: (result.spec.ephemeralContainers ?? []).map(({ image }) => image), decision };
  };
  test("a new entry is rewritten, an old one never", () => {
    const { images, decision } = debug(withDebugger(named, "busybox:1"), withDebugger(named, "busybox:1", "nginx:1"));
    assert.deepEqual(images, ["busybox:1", mirrored]);
    assert.deepEqual(decision.kind === "patched" && decision.patch.map(({ path }) => path), [
      "/spec/ephemeralContainers/1/image",
    ]);
  });
  test("a second time changes nothing more", () => {
    const after = withDebugger(named, mirrored);
    assert.equal(debug(withDebugger(named), after).decision.kind, "untouched");
  });
  test("without the Secret in the pod the reference stays, with a warning", () => {
    const { images, decision } = debug(withDebugger({}), withDebugger({}, "nginx:1"));
    assert.deepEqual(images, ["nginx:1"]);
    assert.equal(decision.warnings.length, 1);
  });
});

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
      const first = run(config, podOf("nginx:1", "quay.io/a/b:1", "ghcr.io/x/y", "localhost:5000/z", "Foo/x", "auto"));
      const second = run(config, first.after);
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

describe("the pull Secret is looked at before", () => {
  const world = buildWorld({}) as AdmissionWorld;
  test("on CREATE", () => assert.ok(needsPullSecret(createRequest(podOf("x")), world)));
  test("not on UPDATE", () => assert.ok(!needsPullSecret(updateRequest(podOf("x"), podOf("y")), world)));
  test("not for a pod that opts out", () =>
    assert.ok(!needsPullSecret(createRequest(pod({ labels: { "slipway.dev/inject": "disabled" }, spec: {} })), world)));
  test("not for what is no pod", () => assert.ok(!needsPullSecret(createRequest(null), world)));
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
