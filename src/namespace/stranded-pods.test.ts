import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { KubernetesObject } from "../cluster/object.ts";
import { adviceFor, findStrandedPods } from "./stranded-pods.ts";

function waitingPod(parts: {
  readonly reason?: string;
  readonly secrets?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly owner?: { readonly kind: string; readonly name: string };
}): KubernetesObject {
  const { reason = "ImagePullBackOff", secrets = [], labels = {}, owner } = parts;
  return {
    metadata: {
      name: "web",
      namespace: "shop",
      uid: "u",
      labels,
      ...(owner === undefined ? {} : { ownerReferences: [{ ...owner, controller: true }] }),
    },
    spec: { imagePullSecrets: secrets.map((name) => ({ name })) },
    status: { containerStatuses: [{ name: "c", image: "quay.io/a/b:1", state: { waiting: { reason } } }] },
  };
}

describe("a pod is stranded", () => {
  test("when it waits for its image without the pull Secret", () => {
    const [found] = findStrandedPods([waitingPod({})]);
    assert.deepEqual(found, { namespace: "shop", name: "web", uid: "u", owner: undefined, image: "quay.io/a/b:1" });
  });
  const others = [
    { name: "not when it names the pull Secret", pod: waitingPod({ secrets: ["a", "slipway-pull"] }) },
    { name: "not when it waits for something else", pod: waitingPod({ reason: "ContainerCreating" }) },
    { name: "not when it opted out", pod: waitingPod({ labels: { "slipway.dev/inject": "disabled" } }) },
    { name: "not when it has no status yet", pod: { metadata: { name: "web", namespace: "shop" } } },
    { name: "not when its fields have other types", pod: { metadata: { name: "x" }, spec: 7, status: "no" } },
  ] as const;
  for (const { name, pod } of others) test(name, () => assert.deepEqual(findStrandedPods([pod]), []));
});

describe("the advice", () => {
  const cases = [
    {
      name: "for a Deployment's pod names the Deployment",
      owner: { kind: "ReplicaSet", name: "web-5d4f8" },
      want: /rollout restart deployment\/web$/,
    },
    {
      name: "for a StatefulSet's pod names it",
      owner: { kind: "StatefulSet", name: "db" },
      want: /rollout restart statefulset\/db$/,
    },
    {
      name: "for a Job's pod is to create the Job again",
      owner: { kind: "Job", name: "init" },
      want: /delete Job init and create it again$/,
    },
    { name: "for a bare Pod is to create it again", owner: undefined, want: /delete Pod web and create it again$/ },
  ] as const;
  for (const { name, owner, want } of cases) {
    test(name, () => {
      const [pod] = findStrandedPods([waitingPod(owner === undefined ? {} : { owner })]);
      assert.ok(pod !== undefined);
      assert.match(adviceFor(pod), want);
    });
  }
});
