import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseReference } from "./parse.ts";
import { formatReference } from "./reference.ts";
import { hostSegment, mapReference, segmentHost } from "./rewrite.ts";

const local = { registry: "registry.slipway-system.svc", prefix: "", keepHost: true };
const digest = `sha256:${"a".repeat(64)}`;

const mapped = [
  { text: "nginx", want: "registry.slipway-system.svc/docker.io/library/nginx" },
  { text: "nginx:1.27", want: "registry.slipway-system.svc/docker.io/library/nginx:1.27" },
  { text: `quay.io/a/b:1@${digest}`, want: `registry.slipway-system.svc/quay.io/a/b:1@${digest}` },
  { text: `quay.io/a/b@${digest}`, want: `registry.slipway-system.svc/quay.io/a/b@${digest}` },
  { text: "Registry:5000/x", want: "registry.slipway-system.svc/registry_5000/x" },
  { text: "LOCALHOST:5000/x", want: "registry.slipway-system.svc/localhost_5000/x" },
  { text: "GHCR.io/x/y", want: "registry.slipway-system.svc/ghcr.io/x/y" },
  { text: "registry-1.docker.io/x", want: "registry.slipway-system.svc/docker.io/library/x" },
];

describe("an origin at the local registry", () => {
  for (const { text, want } of mapped) {
    test(text, () => {
      const outcome = mapReference(parseReference(text), local);
      assert.ok(outcome.kind === "mapped");
      assert.equal(formatReference(outcome.reference), want);
      assert.deepEqual(parseReference(want), outcome.reference);
    });
  }
});

describe("what is not mapped", () => {
  const cases = [
    { name: "localhost without a port", text: "localhost/x", target: local, want: "host-not-mappable" },
    { name: "an upper-case host without dot and port", text: "FOO/x", target: local, want: "host-not-mappable" },
    { name: "an IPv6 literal", text: "[::1]:5000/x", target: local, want: "host-not-mappable" },
    { name: "a path that gets too long", text: `quay.io/${"a".repeat(250)}`, target: local, want: "too-long" },
    {
      name: "one segment at docker.io",
      text: "quay.io/x",
      target: { registry: "docker.io", prefix: "", keepHost: false },
      want: "ambiguous",
    },
  ];
  for (const { name, text, target, want } of cases) {
    test(name, () => assert.equal(mapReference(parseReference(text), target).kind, want));
  }
});

describe("another registry", () => {
  const cases = [
    {
      name: "keeps the source host",
      target: { registry: "mirror.example.com", prefix: "hub", keepHost: true },
      want: "mirror.example.com/hub/docker.io/library/nginx:1",
    },
    {
      name: "drops it when told",
      target: { registry: "mirror.example.com", prefix: "hub", keepHost: false },
      want: "mirror.example.com/hub/library/nginx:1",
    },
    {
      name: "needs no prefix",
      target: { registry: "mirror.example.com:5000", prefix: "", keepHost: false },
      want: "mirror.example.com:5000/library/nginx:1",
    },
  ];
  for (const { name, target, want } of cases) {
    test(name, () => {
      const outcome = mapReference(parseReference("nginx:1"), target);
      assert.equal(outcome.kind === "mapped" && formatReference(outcome.reference), want);
    });
  }
});

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,3}[a-z0-9])?$/);
const host = fc
  .tuple(fc.array(label, { minLength: 1, maxLength: 3 }), fc.option(fc.nat(65535), { nil: undefined }))
  .map(([labels, port]) => labels.join(".") + (port === undefined ? "" : `:${port}`))
  .filter((text) => /[.:]/.test(text));
const path = fc
  .array(fc.stringMatching(/^[a-z0-9]+([._-][a-z0-9]+){0,2}$/), { minLength: 1, maxLength: 3 })
  .map((s) => s.join("/"));

test("two origins never end at one reference", () =>
  fc.assert(
    fc.property(host, path, host, path, (hostA, pathA, hostB, pathB) => {
      const result = (text: string): string => {
        const outcome = mapReference(parseReference(text), local);
        return outcome.kind === "mapped" ? formatReference(outcome.reference) : text;
      };
      const [a, b] = [`${hostA}/${pathA}`, `${hostB}/${pathB}`];
      const isSame = formatReference(parseReference(a)) === formatReference(parseReference(b));
      assert.equal(result(a) === result(b), isSame);
    }),
    { numRuns: 2000 },
  ));

test("a host can be read back from its segment, and no segment is a DNS label", () =>
  fc.assert(
    fc.property(host, (name) => {
      const segment = hostSegment(name);
      assert.ok(segment !== undefined && !/^[a-z0-9-]+$/.test(segment));
      assert.equal(segmentHost(segment), name);
    }),
  ));
