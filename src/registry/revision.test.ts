import assert from "node:assert/strict";
import { test } from "node:test";
import { createSelfSigned } from "../../test/fake/self-signed.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { decideRevision, type RevisionFacts } from "./revision.ts";

const [old, next] = [createSelfSigned().cert, createSelfSigned().cert];
const node = { "kubernetes.io/hostname": "node-1" };
const facts: RevisionFacts = { deployment: undefined, volumeTopology: {}, tokenAuthority: old, configHash: "a" };

type Made = ReturnType<typeof decideRevision>;

function decide(changes: Partial<RevisionFacts> = {}, image = "slipway:1"): Made {
  const make = (pin: Readonly<Record<string, string>>, annotations: Readonly<Record<string, string>>) => ({
    metadata: { annotations },
    spec: { image, ...(Object.keys(pin).length === 0 ? {} : { nodeSelector: pin }) },
  });
  return decideRevision(make, { ...facts, ...changes });
}

/** The Deployment as it stands after `made` was applied. */
function applied(made: Made): KubernetesObject {
  return { metadata: { name: "registry", annotations: made.annotations }, spec: { template: made.template } };
}

const pinOf = ({ template }: Made) => (template.spec as { nodeSelector?: object }).nodeSelector;

test("a volume that was bound before the first pod pins it", () => {
  assert.deepEqual(pinOf(decide({ volumeTopology: node })), node);
});

test("a volume that is bound after the pod was made does not replace it", () => {
  const first = decide();
  const second = decide({ deployment: applied(first), volumeTopology: node });
  assert.deepEqual(second.template, first.template);
  assert.deepEqual(second.annotations, first.annotations);
});

test("the pin comes with the next change, and stays", () => {
  const first = decide();
  const changed = decide({ deployment: applied(first), volumeTopology: node }, "slipway:2");
  assert.deepEqual(pinOf(changed), node);
  const later = decide({ deployment: applied(changed), volumeTopology: node }, "slipway:2");
  assert.deepEqual(later, changed);
});

test("another volume moves the pin at once: its data lies elsewhere", () => {
  const first = decide({ volumeTopology: node });
  const elsewhere = { "kubernetes.io/hostname": "node-2" };
  assert.deepEqual(pinOf(decide({ deployment: applied(first), volumeTopology: elsewhere })), elsewhere);
});

test("a token CA that was added replaces the pod, one that was taken out does not", () => {
  const first = decide();
  const both = decide({ deployment: applied(first), tokenAuthority: old + next });
  assert.notDeepEqual(both.template, first.template);
  const reordered = decide({ deployment: applied(both), tokenAuthority: next + old });
  assert.deepEqual(reordered.template, both.template);
  const withoutOld = decide({ deployment: applied(both), tokenAuthority: next });
  assert.deepEqual(withoutOld.template, both.template);
  const third = decide({ deployment: applied(withoutOld), tokenAuthority: next + createSelfSigned().cert });
  assert.notDeepEqual(third.template, both.template);
});

test("a Deployment of an earlier version, without our annotations, is made anew", () => {
  const deployment = { metadata: { name: "registry" }, spec: { template: { metadata: {}, spec: {} } } };
  assert.deepEqual(pinOf(decide({ deployment, volumeTopology: node })), node);
});
