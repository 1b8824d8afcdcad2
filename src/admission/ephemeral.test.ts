import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  always,
  imagesOf,
  type Mutation,
  mirroredNginx,
  mutateUpdate,
  namesSecret,
} from "../../test/fixtures/admission/mutation.ts";
import { type PodParts, pod } from "../../test/fixtures/admission/request.ts";

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
  const debug = (before: unknown, after: unknown): Mutation & { images: unknown[] } => {
    const mutation = mutateUpdate(always, { before, after, subResource: "ephemeralcontainers" });
    return { ...mutation, images: imagesOf(mutation.after, "ephemeralContainers") };
  };
  test("a new entry is rewritten, an old one never", () => {
    const { images, decision } = debug(
      withDebugger(namesSecret, "busybox:1"),
      withDebugger(namesSecret, "busybox:1", "nginx:1"),
    );
    assert.deepEqual(images, ["busybox:1", mirroredNginx]);
    assert.deepEqual(decision.kind === "patched" && decision.patch.map(({ path }) => path), [
      "/spec/ephemeralContainers/1/image",
    ]);
  });
  test("a second time changes nothing more", () => {
    const after = withDebugger(namesSecret, mirroredNginx);
    assert.equal(debug(withDebugger(namesSecret), after).decision.kind, "untouched");
  });
  test("without the Secret in the pod the reference stays, with a warning", () => {
    const { images, decision } = debug(withDebugger({}), withDebugger({}, "nginx:1"));
    assert.deepEqual(images, ["nginx:1"]);
    assert.equal(decision.warnings.length, 1);
  });
});
