import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { processorMs } from "../../test/fixtures/admission/processor-time.ts";
import type { ImageRewriteSpec, RewriteRule } from "../config/image-rewrite.ts";
import { parseReference } from "../reference/parse.ts";
import { formatReference } from "../reference/reference.ts";
import { mapReference } from "../reference/rewrite.ts";
import { analyseRewrites } from "./collision.ts";
import { compileRules } from "./rules.ts";

const drop = (registry: string, target: string, repository?: string): RewriteRule => ({
  match: { registry, ...(repository === undefined ? {} : { repository }) },
  target,
  keepHost: false,
});
const keep = (registry: string, target: string): RewriteRule => ({ match: { registry }, target });
const inactiveOf = (rules: readonly RewriteRule[], localNames: readonly string[] = []): readonly number[] =>
  analyseRewrites([{ name: "a", spec: { rules } }], { localNames }).rewrites[0]?.inactive ?? [];

const cases: readonly {
  readonly name: string;
  readonly rules: readonly RewriteRule[];
  readonly inactive: readonly number[];
}[] = [
  {
    name: "local targets never collide",
    rules: [{ target: "local" }, { target: "local" }, keep("quay.io", "local")],
    inactive: [],
  },
  {
    name: "kept hosts never collide",
    rules: [keep("quay.io", "m.io/x"), keep("docker.io", "m.io/x"), { target: "m.io/x" }],
    inactive: [],
  },
  { name: "a dropped host needs one registry", rules: [{ target: "m.io", keepHost: false }], inactive: [0] },
  { name: "a suffix is more than one registry", rules: [drop("*.example.com", "m.io")], inactive: [0] },
  {
    name: "two dropped hosts at one target",
    rules: [drop("quay.io", "m.io/x"), drop("docker.io", "m.io/x")],
    inactive: [1],
  },
  {
    name: "two dropped hosts at two prefixes",
    rules: [drop("quay.io", "m.io/x"), drop("docker.io", "m.io/y")],
    inactive: [],
  },
  {
    name: "two dropped hosts at two registries",
    rules: [drop("quay.io", "m.io/x"), drop("docker.io", "n.io/x")],
    inactive: [],
  },
  {
    name: "two dropped hosts with paths apart",
    rules: [drop("quay.io", "m.io", "team/**"), drop("docker.io", "m.io", "library/**")],
    inactive: [],
  },
  {
    name: "two dropped hosts with paths that meet",
    rules: [drop("quay.io", "m.io", "team/**"), drop("docker.io", "m.io", "*/app")],
    inactive: [1],
  },
  {
    name: "an exclude that keeps paths apart",
    rules: [
      { ...drop("quay.io", "m.io"), exclude: [{ repository: "library/**" }] },
      drop("docker.io", "m.io", "library/**"),
    ],
    inactive: [],
  },
  {
    name: "an exclude of another registry does not",
    rules: [
      { ...drop("quay.io", "m.io"), exclude: [{ registry: "ghcr.io", repository: "library/**" }] },
      drop("docker.io", "m.io", "library/**"),
    ],
    inactive: [1],
  },
  { name: "the same host twice", rules: [drop("quay.io", "m.io/x", "a/**"), drop("quay.io", "m.io/x")], inactive: [] },
  {
    name: "the same host at a prefix in the other's paths",
    rules: [drop("quay.io", "m.io/x"), drop("quay.io", "m.io/x/y")],
    inactive: [1],
  },
  {
    name: "a dropped host in a kept one's place",
    rules: [{ target: "m.io" }, drop("quay.io", "m.io/docker.io")],
    inactive: [1],
  },
  {
    name: "a dropped host in its own place",
    rules: [{ target: "m.io" }, drop("quay.io", "m.io/quay.io")],
    inactive: [],
  },
  {
    name: "a dropped host beside the kept ones",
    rules: [{ target: "m.io" }, drop("quay.io", "m.io/team")],
    inactive: [],
  },
  {
    name: "a dropped host whose paths could be hosts",
    rules: [{ target: "m.io" }, drop("quay.io", "m.io")],
    inactive: [1],
  },
  {
    name: "kept hosts at a prefix that is a host",
    rules: [{ target: "m.io" }, { target: "m.io/quay.io" }],
    inactive: [1],
  },
  {
    name: "a third rule is held against active ones only",
    rules: [drop("a.io", "m.io", "x/**"), drop("b.io", "m.io"), drop("c.io", "m.io", "y/**")],
    inactive: [1],
  },
  {
    name: "case and aliases of registries do not matter",
    rules: [drop("quay.io", "M.io/x"), drop("ghcr.io", "m.io/x"), drop("QUAY.io", "m.io/x")],
    inactive: [1],
  },
];

describe("rules that would let two origins collide", () => {
  for (const { name, rules, inactive } of cases) test(name, () => assert.deepEqual(inactiveOf(rules), inactive));
  test("a target that spells out the local registry", () => {
    const rules = [
      { target: "local" },
      drop("quay.io", "registry.example.com/docker.io"),
      drop("quay.io", "registry.example.com/quay.io"),
    ];
    assert.deepEqual(inactiveOf(rules, ["registry.example.com"]), [1]);
  });
  test("across objects the one that comes later by name is inactive, whatever the selectors", () => {
    const { rewrites, findings } = analyseRewrites([
      { name: "b", spec: { rules: [drop("quay.io", "m.io")], namespaceSelector: { matchLabels: { team: "b" } } } },
      { name: "a", spec: { rules: [drop("docker.io", "m.io")], namespaceSelector: { matchLabels: { team: "a" } } } },
    ]);
    assert.deepEqual(
      rewrites.map(({ name, inactive }) => [name, inactive]),
      [
        ["a", []],
        ["b", [0]],
      ],
    );
    assert.deepEqual(
      findings.map(({ order, active, total }) => [order, active, total]),
      [
        [1, 1, 1],
        [2, 0, 1],
      ],
    );
    assert.equal(findings[1]?.inactive[0]?.rule, 1);
    assert.match(findings[1]?.inactive[0]?.reason ?? "", /a#1/);
  });
});

const broken: readonly { readonly name: string; readonly spec: unknown; readonly rule: number }[] = [
  { name: "no rules", spec: {}, rule: 0 },
  { name: "no object", spec: null, rule: 0 },
  { name: "too many rules", spec: { rules: Array.from({ length: 257 }, () => ({ target: "local" })) }, rule: 0 },
  { name: "a rule that is none", spec: { rules: [{ target: "local" }, 7] }, rule: 2 },
  { name: "no target", spec: { rules: [{}] }, rule: 1 },
  { name: "a target that is none", spec: { rules: [{ target: "mirror" }] }, rule: 1 },
  { name: "a dropped host at local", spec: { rules: [{ target: "local", keepHost: false }] }, rule: 1 },
  { name: "keepHost that is no boolean", spec: { rules: [{ target: "m.io", keepHost: "no" }] }, rule: 1 },
  {
    name: "a registry pattern that is none",
    spec: { rules: [{ match: { registry: "a*b" }, target: "local" }] },
    rule: 1,
  },
  { name: "an empty registry", spec: { rules: [{ match: { registry: "" }, target: "local" }] }, rule: 1 },
  { name: "a glob that is none", spec: { rules: [{ match: { repository: "A/**" }, target: "local" }] }, rule: 1 },
  { name: "an exclude of everything", spec: { rules: [{ exclude: [{}], target: "local" }] }, rule: 1 },
  { name: "an exclude that is no list", spec: { rules: [{ exclude: {}, target: "local" }] }, rule: 1 },
  { name: "a when that is none", spec: { rules: [], when: "Never" }, rule: 0 },
  { name: "a selector that is none", spec: { rules: [], namespaceSelector: { matchLabels: { a: 1 } } }, rule: 0 },
  {
    name: "an operator that is none",
    spec: { rules: [], podSelector: { matchExpressions: [{ key: "a", operator: "Is" }] } },
    rule: 0,
  },
  {
    name: "In without values",
    spec: { rules: [], podSelector: { matchExpressions: [{ key: "a", operator: "In" }] } },
    rule: 0,
  },
];

describe("an object that is invalid", () => {
  for (const { name, spec, rule } of broken) {
    test(name, () => {
      const { rewrites, findings } = analyseRewrites([{ name: "a", spec: spec as ImageRewriteSpec }]);
      assert.deepEqual(rewrites, []);
      assert.equal(findings[0]?.invalid[0]?.rule, rule);
      assert.equal(findings[0]?.inForce, "none");
    });
  }
  test("stands aside for its last good version", () => {
    const good: ImageRewriteSpec = { rules: [drop("quay.io", "m.io")] };
    const { rewrites, findings } = analyseRewrites(
      [
        { name: "a", spec: { rules: [{ target: "?" }] } },
        { name: "b", spec: { rules: [drop("docker.io", "m.io")] } },
      ],
      { lastGood: [{ name: "a", spec: good, inactive: [] }] },
    );
    assert.deepEqual(
      rewrites.map(({ spec }) => spec),
      [good, { rules: [drop("docker.io", "m.io")] }],
    );
    assert.deepEqual(
      rewrites.map(({ inactive }) => inactive),
      [[], [0]],
    );
    assert.equal(findings[0]?.inForce, "last-good");
    assert.equal(findings[0]?.invalid[0]?.rule, 1);
  });
});

test("under active rules two origins never end at one reference", () => {
  const target = fc.constantFrom("m.io", "m.io/x", "m.io/a.io", "m.io/x/y", "n.io", "local");
  const registry = fc.constantFrom("a.io", "b.io", "*.io", "c:1", "*");
  const repository = fc.constantFrom("**", "x/**", "y/**", "*/x", "a.io/**", "x/y/*", "*");
  const rule = fc
    .tuple(target, registry, repository, fc.boolean(), fc.option(repository, { nil: undefined }))
    .map(([to, host, glob, keepHost, exclude]) => ({
      match: { registry: host, repository: glob },
      ...(exclude === undefined ? {} : { exclude: [{ repository: exclude }] }),
      target: to,
      ...(to === "local" ? {} : { keepHost }),
    }));
  const origins = ["a.io", "b.io", "z.io", "c:1"].flatMap((host) =>
    ["x", "y", "x/y", "x/y/z", "y/x", "a.io/x", "a.io/y/x", "b.io/x", "c_1/x", "x/a.io/y"].map((path) =>
      parseReference(`${host}/${path}`),
    ),
  );
  let collisions = 0;
  fc.assert(
    fc.property(fc.array(rule, { minLength: 2, maxLength: 6 }), (rules) => {
      const { rewrites } = analyseRewrites(rules.map((one, index) => ({ name: `o${index}`, spec: { rules: [one] } })));
      collisions += rewrites.filter(({ inactive }) => inactive.length > 0).length;
      const pod = compileRules(rewrites).forPod({}, {});
      const seen = new Map<string, string>();
      for (const origin of origins) {
        const found = pod.find(origin);
        if (found === undefined) continue;
        const to = found.target.kind === "local" ? { registry: "local.io", prefix: "" } : found.target;
        const mapped = mapReference(origin, { ...to, keepHost: found.keepHost });
        if (mapped.kind !== "mapped") continue;
        const result = formatReference(mapped.reference);
        const other = seen.get(result);
        assert.ok(other === undefined, `${other} and ${formatReference(origin)} at ${result}`);
        seen.set(result, formatReference(origin));
      }
    }),
    { numRuns: 1500 },
  );
  assert.ok(collisions > 500, `${collisions}`);
});

test("10,000 rules over 40 objects are analysed within 2 s", () => {
  const objects = Array.from({ length: 40 }, (_, object) => ({
    name: `o${object}`,
    spec: {
      rules: Array.from({ length: 250 }, (_, rule) => drop("quay.io", "m.io", `team-${object}-${rule}/**`)).map(
        (one, rule) => (rule % 2 === 0 ? one : drop(`r${object}-${rule}.io`, "m.io/all")),
      ),
    },
  }));
  const spentMs = processorMs(() => {
    const { findings } = analyseRewrites(objects);
    assert.equal(
      findings.reduce((sum, { active }) => sum + active, 0),
      5001,
    );
  });
  assert.ok(spentMs < 2000, `${spentMs}`);
});
