import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { sameRegistry } from "./host.ts";
import { matchesRegistry, readRegistryPattern } from "./registry-pattern.ts";
import { readTarget } from "./target.ts";

const cases = [
  { pattern: undefined, matches: ["docker.io", "registry:5000", "[::1]"], not: [] },
  { pattern: "*", matches: ["docker.io", "[::1]:1"], not: [] },
  { pattern: "docker.io", matches: ["docker.io"], not: ["xdocker.io", "docker.io:443", "docker.io.example.com"] },
  { pattern: "index.docker.io", matches: ["docker.io"], not: ["index.docker.io"] },
  { pattern: "GHCR.io", matches: ["ghcr.io"], not: [] },
  { pattern: "10.0.0.1", matches: ["10.0.0.1"], not: ["10.0.0.10:5000", "10.0.0.1:5000"] },
  {
    pattern: "*.example.com",
    matches: ["a.example.com", "a.b.example.com"],
    not: ["example.com", "a.example.com:5000", "xexample.com"],
  },
  { pattern: "*.example.com:5000", matches: ["a.example.com:5000"], not: ["a.example.com"] },
  { pattern: "[::1]:5000", matches: ["[::1]:5000"], not: ["[::1]"] },
] as const;

describe("a registry pattern", () => {
  for (const { pattern, matches, not } of cases) {
    const read = readRegistryPattern(pattern);
    assert.ok(typeof read !== "string");
    for (const host of matches) test(`${pattern} matches ${host}`, () => assert.ok(matchesRegistry(read, host)));
    for (const host of not) test(`${pattern} does not match ${host}`, () => assert.ok(!matchesRegistry(read, host)));
  }
  for (const wrong of ["", "*example.com", "a.*.com", "https://x.io", "x.io/path", "*.", "a_b.c", "*.[::1]", "**"]) {
    test(`${JSON.stringify(wrong)} is none`, () => assert.equal(typeof readRegistryPattern(wrong), "string"));
  }
});

describe("a target", () => {
  const valid = {
    local: { kind: "local" },
    "mirror.example.com": { kind: "registry", registry: "mirror.example.com", prefix: "" },
    "mirror:5000/a/b": { kind: "registry", registry: "mirror:5000", prefix: "a/b" },
    "index.docker.io/team": { kind: "registry", registry: "docker.io", prefix: "team" },
    "localhost/x": { kind: "registry", registry: "localhost", prefix: "x" },
  };
  for (const [text, want] of Object.entries(valid)) test(text, () => assert.deepEqual(readTarget(text), want));
  for (const wrong of [
    "",
    "Local ",
    "mirror",
    "mirror/x",
    "x.io/",
    "x.io/A",
    "x.io/a:1",
    "https://x.io",
    "x.io//a",
    "x.io/a@b",
  ]) {
    test(`${JSON.stringify(wrong)} is none`, () => assert.equal(typeof readTarget(wrong), "string"));
  }
});

describe("one registry under two names", () => {
  test("case does not matter", () => assert.ok(sameRegistry("Registry.Example.com", "registry.example.com")));
  test("443 is the port when none is written", () => assert.ok(sameRegistry("r.example.com:443", "r.example.com")));
  test("another port is another registry", () => assert.ok(!sameRegistry("10.0.0.1:5000", "10.0.0.1")));
  test("a longer name is another registry", () => assert.ok(!sameRegistry("10.0.0.1", "10.0.0.10")));
});
