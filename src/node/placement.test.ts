import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { PodPlacement } from "../admission/world.ts";
import type { NodeView } from "./node-view.ts";
import { mayLandOn } from "./placement.ts";

const node: NodeView = {
  name: "a",
  uid: "1",
  labels: { zone: "east", cores: "8" },
  taints: [],
  unschedulable: false,
  addresses: [],
  readySinceMs: 0,
  runtime: null,
};
const anywhere: PodPlacement = {
  nodeName: undefined,
  nodeSelector: {},
  requiredNodeAffinity: undefined,
  tolerations: [],
};
const terms = (...nodeSelectorTerms: readonly unknown[]) => ({ nodeSelectorTerms });
const expression = (key: string, operator: string, ...values: readonly string[]) => ({
  matchExpressions: [{ key, operator, values }],
});

describe("required node affinity", () => {
  const cases = [
    { name: "absent allows every node", affinity: undefined, want: true },
    { name: "an empty list of terms matches no node", affinity: terms(), want: false },
    { name: "a term without requirements matches no node", affinity: terms({}), want: false },
    { name: "In holds for a listed value", affinity: terms(expression("zone", "In", "west", "east")), want: true },
    { name: "In fails for another value", affinity: terms(expression("zone", "In", "west")), want: false },
    { name: "NotIn holds where the label is absent", affinity: terms(expression("disk", "NotIn", "ssd")), want: true },
    { name: "NotIn fails for a listed value", affinity: terms(expression("zone", "NotIn", "east")), want: false },
    { name: "Exists", affinity: terms(expression("zone", "Exists")), want: true },
    { name: "DoesNotExist", affinity: terms(expression("zone", "DoesNotExist")), want: false },
    { name: "Gt compares as numbers", affinity: terms(expression("cores", "Gt", "4")), want: true },
    { name: "Lt fails for a smaller limit", affinity: terms(expression("cores", "Lt", "4")), want: false },
    { name: "Gt fails for a value that is no number", affinity: terms(expression("zone", "Gt", "4")), want: false },
    {
      name: "one of several terms is enough",
      affinity: terms(expression("zone", "In", "west"), expression("zone", "In", "east")),
      want: true,
    },
    {
      name: "all requirements of a term have to hold",
      affinity: terms({
        matchExpressions: [
          { key: "zone", operator: "In", values: ["east"] },
          { key: "cores", operator: "In", values: ["4"] },
        ],
      }),
      want: false,
    },
    {
      name: "a DaemonSet's pod names its node by a field",
      affinity: terms({ matchFields: [{ key: "metadata.name", operator: "In", values: ["b"] }] }),
      want: false,
    },
    { name: "what cannot be read excludes nothing", affinity: { nodeSelectorTerms: "?" }, want: true },
    { name: "an unknown operator excludes nothing", affinity: terms(expression("zone", "Near", "x")), want: true },
  ];
  for (const { name, affinity, want } of cases) {
    test(name, () => assert.equal(mayLandOn({ ...anywhere, requiredNodeAffinity: affinity }, node), want));
  }
});

describe("taints and tolerations", () => {
  const taint = { key: "team", value: "db", effect: "NoSchedule" };
  const cases = [
    { name: "a taint keeps pods away", tolerations: [], want: false },
    { name: "Equal is the default", tolerations: [{ key: "team", value: "db" }], want: true },
    { name: "another value does not tolerate", tolerations: [{ key: "team", value: "web" }], want: false },
    { name: "Exists tolerates any value", tolerations: [{ key: "team", operator: "Exists" }], want: true },
    { name: "Exists without a key tolerates everything", tolerations: [{ operator: "Exists" }], want: true },
    {
      name: "another effect does not tolerate",
      tolerations: [{ operator: "Exists", effect: "NoExecute" }],
      want: false,
    },
    { name: "what is no toleration tolerates nothing", tolerations: ["?"], want: false },
  ];
  for (const { name, tolerations, want } of cases) {
    test(name, () => assert.equal(mayLandOn({ ...anywhere, tolerations }, { ...node, taints: [taint] }), want));
  }

  test("PreferNoSchedule keeps nobody away", () => {
    const soft = { ...node, taints: [{ ...taint, effect: "PreferNoSchedule" }] };
    assert.equal(mayLandOn(anywhere, soft), true);
  });
  test("a cordoned node takes no pod that does not tolerate that", () => {
    const cordoned = { ...node, unschedulable: true };
    assert.equal(mayLandOn(anywhere, cordoned), false);
    const tolerations = [{ key: "node.kubernetes.io/unschedulable", operator: "Exists" }];
    assert.equal(mayLandOn({ ...anywhere, tolerations }, cordoned), true);
  });
});
