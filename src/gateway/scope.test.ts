import assert from "node:assert/strict";
import { test } from "node:test";
import { parseScopes } from "./scope.ts";

const cases = [
  {
    name: "one scope",
    scopes: ["repository:a/b:pull"],
    want: [{ type: "repository", name: "a/b", actions: ["pull"] }],
  },
  {
    name: "several in one parameter and in several",
    scopes: ["repository:a:pull repository:b:push", "repository:a:push"],
    want: [
      { type: "repository", name: "a", actions: ["pull", "push"] },
      { type: "repository", name: "b", actions: ["push"] },
    ],
  },
  {
    name: "a star is all actions",
    scopes: ["repository:a:*"],
    want: [{ type: "repository", name: "a", actions: ["pull", "push", "delete"] }],
  },
  {
    name: "a class is ignored",
    scopes: ["repository(plugin):a:pull"],
    want: [{ type: "repository", name: "a", actions: ["pull"] }],
  },
  {
    name: "the catalogue",
    scopes: ["registry:catalog:*"],
    want: [{ type: "registry", name: "catalog", actions: ["*"] }],
  },
  {
    name: "the catalogue has one action",
    scopes: ["registry:catalog:pull"],
    want: [{ type: "registry", name: "catalog", actions: [] }],
  },
  {
    name: "a name with a port is none",
    scopes: ["repository:registry.example.com:5000/a:pull"],
    want: [],
  },
  {
    name: "unknown actions are left out",
    scopes: ["repository:a:pull,fly"],
    want: [{ type: "repository", name: "a", actions: ["pull"] }],
  },
  { name: "a name that is none is left out", scopes: ["repository:A/../b:pull", "repository::pull"], want: [] },
  { name: "what is no scope is left out", scopes: ["", "x", ":", "repository:", "other:a:pull"], want: [] },
] as const;
for (const { name, scopes, want } of cases) test(name, () => assert.deepEqual(parseScopes(scopes), want));

test("no more than 64 scopes are read", () => {
  assert.equal(parseScopes(Array.from({ length: 100 }, (_, index) => `repository:a${index}:pull`)).length, 64);
});

test("what is said often counts once", () => {
  const scopes = parseScopes([...Array<string>(100).fill("repository:a:pull"), "repository:b:pull repository:a:push"]);
  assert.deepEqual(
    scopes.map(({ name, actions }) => [name, actions]),
    [
      ["a", ["pull", "push"]],
      ["b", ["pull"]],
    ],
  );
});

test("no more scopes are read than a token can carry", () => {
  const name = (index: number) => `${"a".repeat(250)}${index}`;
  const scopes = parseScopes(Array.from({ length: 64 }, (_, index) => `repository:${name(index)}:pull,push,delete`));
  assert.ok(scopes.length > 10, `${scopes.length}`);
  assert.ok(JSON.stringify(scopes).length <= 4_200);
  assert.deepEqual(scopes.at(-1)?.name, name(scopes.length - 1));
});
