import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseDocuments } from "./document.ts";
import { findPods } from "./pod-source.ts";

const container = "{containers: [{name: a, image: nginx}]}";
const cases = [
  { name: "a Pod", text: `{kind: Pod, metadata: {name: a}, spec: ${container}}`, prefixes: [""] },
  { name: "a Pod without containers is one, too", text: "{kind: Pod, spec: {}}", prefixes: [""] },
  {
    name: "a Deployment",
    text: `{kind: Deployment, spec: {template: {spec: ${container}}}}`,
    prefixes: ["spec.template."],
  },
  {
    name: "a CronJob",
    text: `{kind: CronJob, spec: {jobTemplate: {spec: {template: {spec: ${container}}}}}}`,
    prefixes: ["spec.jobTemplate.spec.template."],
  },
  { name: "a PodTemplate", text: `{kind: PodTemplate, template: {spec: ${container}}}`, prefixes: ["template."] },
  {
    name: "a kind that nobody here knows, with two templates in a list",
    text: `{kind: JobSet, spec: {jobs: [{template: {spec: ${container}}}, {template: {spec: ${container}}}]}}`,
    prefixes: ["spec.jobs[0].template.", "spec.jobs[1].template."],
  },
  { name: "a Service holds none", text: "{kind: Service, spec: {ports: [{port: 80}]}}", prefixes: [] },
  {
    name: "a List and several documents are taken apart, empty documents are nothing",
    text: `{kind: List, items: [{kind: Pod, spec: ${container}}, {kind: ConfigMap}]}\n---\n---\n{kind: Pod, spec: ${container}}`,
    prefixes: ["", ""],
  },
  {
    name: "the items of a PodList need no kind",
    text: `{kind: PodList, items: [{spec: ${container}}]}`,
    prefixes: [""],
  },
] as const;

describe("pods and pod templates", () => {
  for (const { name, text, prefixes } of cases) {
    test(name, () => {
      const pods = parseDocuments(text, "test").flatMap(findPods);
      assert.deepEqual(
        pods.map(({ prefix }) => prefix),
        prefixes,
      );
    });
  }
});

describe("input that is no object", () => {
  for (const text of ["a: [", "just text", "[1, 2]", "{metadata: {name: x}}", "a: &a [*a, *a]\nkind: 1"]) {
    test(JSON.stringify(text), () => {
      assert.throws(() => parseDocuments(text, "input.yaml"), {
        code: "CONFIG_INVALID",
        message: /input\.yaml, document 1/,
      });
    });
  }
});
