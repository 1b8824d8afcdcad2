import assert from "node:assert/strict";
import { test } from "node:test";
import { decideDestination } from "./destination.ts";

const names = ["registry.slipway-system.svc", "container-registry.local:5000"];
const cases = [
  {
    name: "an image with a host goes to its mirrored path",
    source: "ghcr.io/example/app:1",
    as: undefined,
    want: { repository: "ghcr.io/example/app", tag: "1" },
  },
  {
    name: "a port is written with an underscore",
    source: "Reg.example.com:5000/app",
    as: undefined,
    want: { repository: "reg.example.com_5000/app", tag: "latest" },
  },
  {
    name: "docker.io is written out",
    source: "busybox:1.37",
    as: "docker.io/busybox:1.37",
    want: { repository: "docker.io/library/busybox", tag: "1.37" },
  },
  {
    name: "a namespace's own repository, with the image's tag",
    source: "busybox:1.37",
    as: "demo/app",
    want: { repository: "demo/app", tag: "1.37" },
  },
  {
    name: "an own name of the registry is left out",
    source: undefined,
    as: "container-registry.local:5000/demo/app:2",
    want: { repository: "demo/app", tag: "2" },
  },
  {
    name: "below an own name a mirrored path stays",
    source: undefined,
    as: "registry.slipway-system.svc/docker.io/library/busybox:1.37",
    want: { repository: "docker.io/library/busybox", tag: "1.37" },
  },
  {
    name: "an image that already carries an own name",
    source: "registry.slipway-system.svc/demo/app:3",
    as: undefined,
    want: { repository: "demo/app", tag: "3" },
  },
] as const;
for (const { name, source, as, want } of cases) {
  test(name, () => assert.deepEqual(decideDestination(source, as, names), want));
}

const refused = [
  { name: "a bare name without NAME", source: "app/web:1", as: undefined },
  { name: "an official image without NAME", source: "busybox", as: undefined },
  { name: "no name at all", source: undefined, as: undefined },
  { name: "a path of one segment", source: "x", as: "app" },
  { name: "a path of one segment at the registry", source: "x", as: "registry.slipway-system.svc/app" },
  { name: "a host without a mirrored path", source: "localhost/app:1", as: undefined },
  { name: "a digest in NAME", source: "x", as: `demo/app@sha256:${"a".repeat(64)}` },
] as const;
for (const { name, source, as } of refused) {
  test(`refused: ${name}`, () =>
    assert.throws(() => decideDestination(source, as, names), { code: "DESTINATION_AMBIGUOUS" }));
}

test("refused: what is no reference", () => {
  assert.throws(() => decideDestination("x", "demo/App", names), { code: "REFERENCE_INVALID" });
});
