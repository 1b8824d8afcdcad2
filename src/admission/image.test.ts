import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  always,
  imagesOf,
  localHost,
  mirroredNginx,
  mutateNew,
  namesSecret,
  originalsOf,
  someDigest,
} from "../../test/fixtures/admission/mutation.ts";
import { pod, podOf } from "../../test/fixtures/admission/request.ts";
import type { WorldConfig } from "../../test/fixtures/admission/world.ts";

const holdsNginx: WorldConfig = { catalogue: ["docker.io/library/nginx:1"] };

const onImages: readonly {
  readonly name: string;
  readonly config: WorldConfig;
  readonly image: unknown;
  readonly want: unknown;
  readonly warns?: boolean;
}[] = [
  {
    name: "an image that the local registry has is rewritten",
    config: holdsNginx,
    image: "nginx:1",
    want: mirroredNginx,
  },
  { name: "one that it has not stays", config: holdsNginx, image: "nginx:2", want: "nginx:2" },
  {
    name: "tag and digest are both kept",
    config: { catalogue: [`quay.io/a/b@${someDigest}`] },
    image: `quay.io/a/b:1@${someDigest}`,
    want: `${localHost}/quay.io/a/b:1@${someDigest}`,
  },
  {
    name: "a digest must itself be known",
    config: { catalogue: ["quay.io/a/b:1"] },
    image: `quay.io/a/b:1@${someDigest}`,
    want: `quay.io/a/b:1@${someDigest}`,
  },
  {
    name: "no tag means latest, and none is added",
    config: { catalogue: ["docker.io/library/nginx:latest"] },
    image: "nginx",
    want: `${localHost}/docker.io/library/nginx`,
  },
  {
    name: "a reference to the local registry stays",
    config: always,
    image: `${localHost}/team/app:1`,
    want: `${localHost}/team/app:1`,
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
    image: `${localHost}.example.com/x:1`,
    want: `${localHost}/${localHost}.example.com/x:1`,
  },
  {
    name: "a catalogue that is not known rewrites nothing",
    config: { catalogue: null },
    image: "nginx:1",
    want: "nginx:1",
    warns: true,
  },
  {
    name: "when: Always asks no catalogue",
    config: { ...always, catalogue: null },
    image: "nginx:1",
    want: mirroredNginx,
  },
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
    want: mirroredNginx,
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
    image: `${localHost}/team/app:1@${someDigest}`,
    want: `127.0.0.1:7443/team/app:1@${someDigest}`,
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
    image: `${localHost}/app:1`,
    want: `${localHost}/app:1`,
    warns: true,
  },
  {
    name: "with a Secret that is only late it is: under its own name the pod would never start",
    config: { registry: { mode: "LoopbackProxy" }, secret: { kind: "unavailable", reason: "late", isPassing: true } },
    image: `${localHost}/app:1`,
    want: "127.0.0.1:7443/app:1",
  },
  {
    name: "a Secret that is late keeps every other reference as it is",
    config: { ...always, secret: { kind: "unavailable", reason: "late", isPassing: true } },
    image: "nginx:1",
    want: "nginx:1",
    warns: true,
  },
];

describe("an image on CREATE", () => {
  for (const { name, config, image, want, warns } of onImages) {
    test(name, () => {
      const { decision, after } = mutateNew(config, podOf(image));
      assert.deepEqual(imagesOf(after), [want]);
      const about = decision.warnings.filter((warning) => warning.includes('"c0"'));
      assert.equal(about.length, warns === true ? 1 : 0, JSON.stringify(decision.warnings));
    });
  }
  test("one that cannot be read costs the others nothing", () => {
    const { after } = mutateNew(always, podOf("nginx:1", "::::", "quay.io/a/b:2"));
    assert.deepEqual(imagesOf(after), [mirroredNginx, "::::", `${localHost}/quay.io/a/b:2`]);
  });
  test("imagePullPolicy is never touched", () => {
    const container = { name: "a", image: "nginx", imagePullPolicy: "Always" };
    const { after } = mutateNew(always, pod({ spec: { containers: [container] } }));
    assert.deepEqual(after.spec.containers, [{ ...container, image: `${localHost}/docker.io/library/nginx` }]);
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
    const { after } = mutateNew(always, pod({ spec }));
    assert.deepEqual(after.spec, {
      serviceAccountName: "default",
      initContainers: [{ name: "i", image: mirroredNginx, restartPolicy: "Always" }],
      containers: [{ name: "c", image: mirroredNginx }],
      ephemeralContainers: [{ name: "e", image: mirroredNginx }],
      volumes: [
        { name: "none", emptyDir: {} },
        { name: "v", image: { reference: mirroredNginx, pullPolicy: "Always" } },
      ],
      ...namesSecret,
    });
    assert.deepEqual(originalsOf(after), { containers: { i: "nginx:1", c: "nginx:1" }, volumes: { v: "nginx:1" } });
  });
});
