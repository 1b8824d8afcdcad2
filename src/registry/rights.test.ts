import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { createCatalogue } from "./catalogue.ts";
import { createPresence } from "./presence.ts";
import { mayPull } from "./rights.ts";

const shared = ["docker.io/library/**", "team/base"];
const cases = [
  { name: "a namespace pulls its own", namespace: "demo", repository: "demo/app", want: true },
  { name: "at any depth", namespace: "demo", repository: "demo/app/cache", want: true },
  { name: "not a namespace whose name begins alike", namespace: "demo", repository: "demo-2/app", want: false },
  { name: "not a path of one segment", namespace: "demo", repository: "demo", want: false },
  { name: "shared repositories", namespace: "demo", repository: "docker.io/library/busybox", want: true },
  { name: "a shared one of another namespace", namespace: "demo", repository: "team/base", want: true },
  { name: "not the others of that namespace", namespace: "demo", repository: "team/app", want: false },
  { name: "not a mirrored host that is not shared", namespace: "demo", repository: "ghcr.io/demo/app", want: false },
];
for (const { name, namespace, repository, want } of cases) {
  test(name, () => assert.equal(mayPull(namespace, repository, shared), want));
}

test("what a namespace may not pull is absent and is not looked up", () => {
  const catalogue = createCatalogue({ clock: createManualClock() });
  catalogue.markLive();
  catalogue.apply({ type: "pushed", repository: "other/app", tag: "1", digest: "sha256:a" });
  const present = createPresence({ catalogue, sharedRepositories: () => shared })("demo");
  assert.equal(present("other/app", "1", undefined), false);
  assert.deepEqual(catalogue.takeMissed(), []);
  assert.equal(present("demo/app", "1", undefined), false);
  assert.deepEqual(catalogue.takeMissed(), [{ repository: "demo/app", reference: "1" }]);
});

test("with one login for all every repository may be pulled", () => {
  const catalogue = createCatalogue({ clock: createManualClock() });
  catalogue.markLive();
  catalogue.apply({ type: "pushed", repository: "other/app", tag: "1", digest: "sha256:a" });
  assert.equal(
    createPresence({ catalogue, sharedRepositories: () => null })("demo")("other/app", "1", undefined),
    true,
  );
});
