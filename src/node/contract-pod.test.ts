import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ContractPlace, contractPod, slipwayPlace } from "./contract-pod.ts";

const place: ContractPlace = {
  ...slipwayPlace,
  namespace: "team-a",
  otherNamespace: "team-b",
  label: "example.com/run",
  pullSecrets: ["login"],
  owner: { name: "job", uid: "u" },
};
const podIn = (namespace: string, at: ContractPlace = place) =>
  contractPod({ name: "a", namespace, node: "n", run: "r", images: ["x"], place: at });

describe("the pod of a contract check", () => {
  test("names the pull Secret and its owner in the namespace of both", () => {
    const { metadata, spec } = podIn("team-a");
    assert.deepEqual(metadata.ownerReferences, [{ apiVersion: "v1", kind: "Pod", name: "job", uid: "u" }]);
    assert.deepEqual((spec as { imagePullSecrets: unknown }).imagePullSecrets, [{ name: "login" }]);
    assert.equal(metadata.labels?.["example.com/run"], "r");
  });

  test("names neither elsewhere: the owner is not there, and a login would prove nothing", () => {
    const { metadata, spec } = podIn("team-b");
    assert.ok(!("ownerReferences" in metadata));
    assert.ok(!("imagePullSecrets" in (spec as object)));
  });

  test("of the leader has neither", () => {
    const { metadata, spec } = podIn("slipway-check", slipwayPlace);
    assert.ok(!("ownerReferences" in metadata) && !("imagePullSecrets" in (spec as object)));
  });
});
