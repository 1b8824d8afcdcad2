import assert from "node:assert/strict";
import test from "node:test";
import { compiledRegistry } from "../../test/fake/compiled.ts";
import type { RegistryKey } from "../config/compiled.ts";
import { decideKeyRotation, type KeyRotation, type KeyRotationFacts, parseKeyRotation } from "./key-rotation.ts";

const key = (generation: number): RegistryKey => ({
  generation,
  secret: Buffer.alloc(32, generation).toString("base64"),
});
const handedOut = (generation: number) => compiledRegistry({ login: { kind: "namespace", key: key(generation) } });
const done: KeyRotation = { request: "a", phase: "done", generation: 1, synced: 3, total: 3, failing: [] };
const quiet: KeyRotationFacts = {
  keys: [key(1)],
  requested: "",
  recorded: undefined,
  registry: handedOut(1),
  spread: { synced: 3, total: 3, failing: [] },
  settledForMs: 1_000_000,
  graceMs: 90_000,
};
const two = [key(2), key(1)];

const cases: readonly {
  readonly name: string;
  readonly facts: Partial<KeyRotationFacts>;
  readonly want: ReturnType<typeof decideKeyRotation>;
}[] = [
  { name: "without a request nothing happens", facts: {}, want: { kind: "idle" } },
  { name: "without a key nothing happens", facts: { keys: [], requested: "a" }, want: { kind: "idle" } },
  { name: "a request begins a rotation", facts: { requested: "a" }, want: { kind: "begin", request: "a" } },
  { name: "a request is honoured once", facts: { requested: "a", recorded: done }, want: { kind: "idle" } },
  {
    name: "another value is another request",
    facts: { requested: "b", recorded: done },
    want: { kind: "begin", request: "b" },
  },
  {
    name: "until it is handed out, gateways have not all accepted it",
    facts: { keys: two },
    want: { kind: "wait", phase: "accepting" },
  },
  {
    name: "a third generation never comes while namespaces may hold the first",
    facts: { keys: two, requested: "b", recorded: done },
    want: { kind: "wait", phase: "accepting" },
  },
  {
    name: "the previous generation stays while a namespace holds it",
    facts: { keys: two, registry: handedOut(2), settledForMs: undefined },
    want: { kind: "wait", phase: "spreading" },
  },
  {
    name: "and a little longer, for who has just read it",
    facts: { keys: two, registry: handedOut(2), settledForMs: 89_999 },
    want: { kind: "wait", phase: "settling" },
  },
  {
    name: "then it goes",
    facts: { keys: two, registry: handedOut(2), settledForMs: 90_000 },
    want: { kind: "finish" },
  },
  {
    name: "where nobody has a login of the registry, nobody is waited for",
    facts: { keys: two, registry: null },
    want: { kind: "finish" },
  },
];
for (const { name, facts, want } of cases) {
  test(name, () => assert.deepEqual(decideKeyRotation({ ...quiet, ...facts }), want));
}

test("the record is read back, and anything else is none", () => {
  assert.deepEqual(parseKeyRotation(JSON.stringify(done)), done);
  for (const text of [undefined, "", "{", "[]", '{"phase":"done"}', JSON.stringify({ ...done, phase: "over" })]) {
    assert.equal(parseKeyRotation(text), undefined);
  }
});
