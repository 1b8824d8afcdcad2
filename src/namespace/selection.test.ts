import assert from "node:assert/strict";
import test from "node:test";
import { isOptedIn, type NamespaceSelection, optInSelection } from "./selection.ts";

const optOut: NamespaceSelection = { mode: "OptOut", excluded: ["legacy"] };
const enabled = { "slipway.dev/inject": "enabled" };
const disabled = { "slipway.dev/inject": "disabled" };

const cases = [
  { name: "the label opts in", namespace: { name: "a", labels: enabled }, selection: optInSelection, want: true },
  { name: "no label is not opted in", namespace: { name: "a", labels: {} }, selection: optInSelection, want: false },
  {
    name: "any other value is not opted in",
    namespace: { name: "a", labels: { "slipway.dev/inject": "true" } },
    selection: optInSelection,
    want: false,
  },
  {
    name: "the check namespaces are ordinary",
    namespace: { name: "slipway-check", labels: enabled },
    selection: optInSelection,
    want: true,
  },
  {
    name: "kube-system never",
    namespace: { name: "kube-system", labels: enabled },
    selection: optInSelection,
    want: false,
  },
  {
    name: "slipway-system never",
    namespace: { name: "slipway-system", labels: enabled },
    selection: optInSelection,
    want: false,
  },
  {
    name: "slipway-node never",
    namespace: { name: "slipway-node", labels: enabled },
    selection: optInSelection,
    want: false,
  },
  { name: "opt-out mode: no label is served", namespace: { name: "a", labels: {} }, selection: optOut, want: true },
  { name: "opt-out mode: disabled is not", namespace: { name: "a", labels: disabled }, selection: optOut, want: false },
  {
    name: "opt-out mode: an excluded namespace is not",
    namespace: { name: "legacy", labels: enabled },
    selection: optOut,
    want: false,
  },
  {
    name: "opt-out mode: kube-system never",
    namespace: { name: "kube-system", labels: {} },
    selection: optOut,
    want: false,
  },
];
for (const { name, namespace, selection, want } of cases) {
  test(name, () => assert.equal(isOptedIn(namespace, selection), want));
}
