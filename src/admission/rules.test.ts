import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { leastMs } from "../../test/fixtures/admission/least-time.ts";
import type { ImageRewriteSpec, RewriteRule } from "../config/image-rewrite.ts";
import { matchesGlob } from "../reference/glob.ts";
import { parseReference } from "../reference/parse.ts";
import { matchesRegistry, readRegistryPattern } from "../reference/registry-pattern.ts";
import { type CompiledRules, compileRules } from "./rules.ts";

type Labels = Readonly<Record<string, string>>;
const rewrite = (name: string, spec: ImageRewriteSpec, inactive: readonly number[] = []) => ({ name, spec, inactive });
const found = (rules: CompiledRules, image: string, namespace: Labels = {}, pod: Labels = {}): string | undefined =>
  rules.forPod(namespace, pod).find(parseReference(image))?.label;

describe("the first rule that matches decides", () => {
  const rules = compileRules([
    rewrite("a", {
      rules: [
        {
          match: { registry: "quay.io", repository: "team/**" },
          exclude: [{ repository: "team/secret" }],
          target: "local",
        },
        { match: { registry: "*.example.com" }, target: "local" },
        { match: { repository: "*/app-*" }, target: "local" },
      ],
    }),
    rewrite("b", { rules: [{ match: { registry: "docker.io", repository: "library/nginx" }, target: "local" }] }),
    rewrite("c", {
      rules: [{ exclude: [{ registry: "ghcr.io" }, { registry: "*.corp", repository: "x/**" }], target: "local" }],
    }),
  ]);
  const cases = {
    "quay.io/team/app-1": "a#1",
    "quay.io/team/secret": "c#1",
    "quay.io/other/app-1": "a#3",
    "r.example.com/x": "a#2",
    "example.com/x": "c#1",
    nginx: "b#1",
    "nginx:1": "b#1",
    redis: "c#1",
    "ghcr.io/x/y": undefined,
    "ghcr.io/x/app-2": "a#3",
    "a.corp/x/y": undefined,
    "a.corp/y/z": "c#1",
    "QUAY.io/team/x": "a#1",
  };
  for (const [image, label] of Object.entries(cases)) test(image, () => assert.equal(found(rules, image), label));
});

describe("selectors", () => {
  const rules = compileRules([
    rewrite("a", { namespaceSelector: { matchLabels: { team: "a" } }, rules: [{ target: "local" }] }),
    rewrite("b", {
      podSelector: { matchExpressions: [{ key: "tier", operator: "Exists" }] },
      rules: [{ target: "local" }],
    }),
    rewrite("c", {
      namespaceSelector: { matchExpressions: [{ key: "team", operator: "NotIn", values: ["x"] }] },
      podSelector: { matchLabels: { app: "c" } },
      rules: [{ target: "local" }],
    }),
  ]);
  const cases: readonly [string, Labels, Labels, string | undefined][] = [
    ["of the namespace", { team: "a" }, {}, "a#1"],
    ["of the pod", {}, { tier: "x" }, "b#1"],
    ["of both", {}, { app: "c" }, "c#1"],
    ["of both, one fails", { team: "x" }, { app: "c" }, undefined],
    ["none holds", {}, {}, undefined],
  ];
  for (const [name, namespace, pod, label] of cases) {
    test(name, () => assert.equal(found(rules, "nginx", namespace, pod), label));
  }
});

describe("what takes no part", () => {
  test("an inactive rule, and the numbers of the others stay", () => {
    const rules = compileRules([rewrite("a", { rules: [{ target: "local" }, { target: "mirror.example.com" }] }, [0])]);
    assert.equal(found(rules, "nginx"), "a#2");
    assert.equal(rules.count, 1);
  });
  test("a rule that cannot be read", () => {
    const rules = compileRules([rewrite("a", { rules: [{ target: "nowhere" }, { target: "local" }] })]);
    assert.equal(found(rules, "nginx"), "a#2");
  });
});

describe("where references already stand", () => {
  const keeping = compileRules([rewrite("a", { rules: [{ target: "m.example.com/hub" }] })]);
  const dropping = compileRules([
    rewrite("a", {
      rules: [{ match: { registry: "quay.io", repository: "team/**" }, target: "docker.io", keepHost: false }],
    }),
  ]);
  const selective = compileRules([
    rewrite("a", { namespaceSelector: { matchLabels: { team: "a" } }, rules: [{ target: "m.example.com" }] }),
  ]);
  const cases: readonly [string, CompiledRules, string, Labels, boolean][] = [
    ["with a host below the prefix", keeping, "m.example.com/hub/quay.io/x", {}, true],
    ["in another case", keeping, "M.example.com/hub/quay.io/x", {}, true],
    ["not beside the prefix", keeping, "m.example.com/hub2/quay.io/x", {}, false],
    ["not without a host", keeping, "m.example.com/hub/team/x", {}, false],
    ["not on another port", keeping, "m.example.com:5000/hub/quay.io/x", {}, false],
    ["by the rule's own paths when the host is dropped", dropping, "team/app", {}, true],
    ["and no others", dropping, "other/app", {}, false],
    ["in a selected namespace", selective, "m.example.com/quay.io/x", { team: "a" }, true],
    ["not in another", selective, "m.example.com/quay.io/x", {}, false],
  ];
  for (const [name, rules, image, labels, want] of cases) {
    test(name, () => assert.equal(rules.forPod(labels, {}).isResult(parseReference(image)), want));
  }
});

/** The definition, without any index: every rule in turn. */
function firstInTurn(specs: readonly RewriteRule[], image: string): number {
  const reference = parseReference(image);
  const matches = ({ registry, repository }: { registry?: string; repository?: string }): boolean => {
    const pattern = readRegistryPattern(registry);
    const isHost = typeof pattern !== "string" && matchesRegistry(pattern, reference.registry.toLowerCase());
    return isHost && (repository === undefined || matchesGlob(repository, reference.path));
  };
  return specs.findIndex(({ match = {}, exclude = [] }) => matches(match) && !exclude.some(matches));
}

const piece = fc.constantFrom("a", "b", "ab", "*", "**", "a*", "*b", "a*b");
const match = fc.record(
  {
    registry: fc.constantFrom("*", "a.io", "b.a.io", "*.a.io", "*.io", "c:5000", "docker.io"),
    repository: fc.array(piece, { minLength: 1, maxLength: 4 }).map((pieces) => pieces.join("/")),
  },
  { requiredKeys: [] },
);
const filled = match.filter((entry) => Object.keys(entry).length > 0);
const rule = fc.record({ match, exclude: fc.array(filled, { maxLength: 2 }), target: fc.constant("local") });
const image = fc
  .tuple(
    fc.constantFrom("a.io", "b.a.io", "x.b.a.io", "c:5000", "docker.io", "z.io"),
    fc.array(fc.constantFrom("a", "b", "ab", "axb", "c"), { minLength: 1, maxLength: 4 }),
  )
  .map(([host, path]) => `${host}/${path.join("/")}`);

test("the index finds what asking every rule in turn finds", () => {
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 20 }), fc.array(image, { minLength: 1, maxLength: 5 }), (rules, images) => {
      const compiled = compileRules([rewrite("a", { rules })]);
      for (const text of images) {
        const index = firstInTurn(rules, text);
        assert.equal(found(compiled, text), index < 0 ? undefined : `a#${index + 1}`);
      }
    }),
    { numRuns: 2000 },
  );
});

describe("the cost of an image does not grow with the rules", () => {
  const shapes: Readonly<Record<string, (index: number) => ImageRewriteSpec>> = {
    "repositories of one registry": (index) => ({
      rules: [{ match: { registry: "quay.io", repository: `team-${index}/**` }, target: "local" }],
    }),
    "last segments": (index) => ({ rules: [{ match: { repository: `*/app-${index}` }, target: "local" }] }),
    "parts of segments": (index) => ({ rules: [{ match: { repository: `**/team-${index}-*` }, target: "local" }] }),
    registries: (index) => ({ rules: [{ match: { registry: `r${index}.example.com` }, target: "local" }] }),
    "suffixes of registries": (index) => ({
      rules: [{ match: { registry: `*.r${index}.example.com` }, target: "local" }],
    }),
    "namespaces, an object each": (index) => ({
      namespaceSelector: { matchLabels: { team: `t${index}` } },
      rules: [{ target: "local" }],
    }),
    targets: (index) => ({
      rules: [{ match: { registry: `r${index}.example.com` }, target: `m.example.com/p${index}`, keepHost: false }],
    }),
  };
  const images = ["quay.io/team-7/app-7:1", "ghcr.io/x/team-7-y:1", "r7.example.com/a", "m.example.com/p7/a"].map(
    parseReference,
  );
  const labels = { team: "t7" };
  const ask = (rules: CompiledRules): void => {
    const pod = rules.forPod(labels, {});
    for (const reference of images) if (!pod.isResult(reference)) pod.find(reference);
  };
  for (const [name, shape] of Object.entries(shapes)) {
    test(name, () => {
      const [few = 0, many = 0] = [10, 10_000].map((count) => {
        const rules = compileRules(Array.from({ length: count }, (_, index) => rewrite(`o${index}`, shape(index))));
        return leastMs(40, () => {
          for (let round = 0; round < 300; round++) ask(rules);
        });
      });
      // A look at each rule would take a thousand times as long.
      assert.ok(many < few * 10, `${few} ms and ${many} ms`);
    });
  }
});
