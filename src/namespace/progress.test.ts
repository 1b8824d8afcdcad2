import assert from "node:assert/strict";
import test from "node:test";
import { Registry } from "prom-client";
import { compiledCredential, compiledState, observedNamespace } from "../../test/fake/compiled.ts";
import { createMemoryStore } from "../cluster/memory-store.ts";
import type { ObservedNamespace } from "./observed.ts";
import { createSyncProgress } from "./progress.ts";
import { optInSelection } from "./selection.ts";

const credentials = [
  compiledCredential("all", { "x.example.com": "1" }),
  compiledCredential("blue", { "y.example.com": "2" }, { namespaceSelector: { matchLabels: { team: "blue" } } }),
];

function open(spaces: readonly ObservedNamespace[]) {
  const namespaces = createMemoryStore(spaces.map((namespace) => [namespace.name, namespace] as const));
  const metrics = new Registry();
  let state = compiledState({ revision: 3, credentials });
  const progress = createSyncProgress({ namespaces, compiled: () => state, selection: optInSelection, metrics });
  return {
    progress,
    metrics,
    count: (name: string) => progress.statusOf(name)?.namespaces.summary,
    compile(revision: number) {
      state = compiledState({ revision, credentials });
    },
  };
}
const labels = (more: Record<string, string>) => ({ labels: { "slipway.dev/inject": "enabled", ...more } });
const spaces = [
  observedNamespace("a", labels({ team: "blue" })),
  observedNamespace("b"),
  observedNamespace("c", { labels: {} }),
  observedNamespace("d", { terminating: true }),
  observedNamespace("e", { annotations: { "slipway.dev/credentials": "none" } }),
];

test("each PullCredential counts the served namespaces that it selects", () => {
  const { progress, count } = open(spaces);
  for (const name of ["a", "b", "c"]) progress.record(name, { kind: "synced", revision: 3 });
  assert.equal(count("all"), "2/2");
  assert.equal(count("blue"), "1/1");
  assert.equal(progress.statusOf("all")?.observedRevision, 3);
});

test("a new revision starts the count anew", () => {
  const { progress, count, compile } = open(spaces);
  for (const name of ["a", "b"]) progress.record(name, { kind: "synced", revision: 3 });
  compile(4);
  assert.equal(count("all"), "0/2");
  progress.record("a", { kind: "synced", revision: 4 });
  assert.equal(count("all"), "1/2");
});

test("at most twenty failing namespaces are named, by name", () => {
  const many = Array.from({ length: 30 }, (_, index) => observedNamespace(`n${String(index).padStart(2, "0")}`));
  const { progress } = open(many);
  for (const { name } of [...many].reverse()) progress.record(name, { kind: "failing", reason: "QuotaExceeded" });
  const failing = progress.statusOf("all")?.namespaces.failing ?? [];
  assert.equal(failing.length, 20);
  assert.deepEqual(failing[0], { name: "n00", reason: "QuotaExceeded" });
  assert.equal(failing[19]?.name, "n19");
});

test("only a result that differs is told", () => {
  const { progress } = open(spaces);
  let told = 0;
  progress.onChange(() => told++);
  assert.equal(progress.record("a", { kind: "synced", revision: 3 }), true);
  assert.equal(progress.record("a", { kind: "synced", revision: 3 }), false);
  assert.equal(progress.record("a", { kind: "failing", reason: "QuotaExceeded" }), true);
  assert.equal(progress.record("a", { kind: "failing", reason: "QuotaExceeded" }), false);
  progress.forget("a");
  progress.forget("a");
  assert.equal(told, 3);
});

test("a revision is reached when every served namespace was looked at with it, or fails", () => {
  const { progress } = open(spaces);
  progress.record("a", { kind: "synced", revision: 3 });
  progress.record("b", { kind: "failing", reason: "QuotaExceeded" });
  assert.equal(progress.hasReached(3), false);
  progress.record("e", { kind: "synced", revision: 4 });
  assert.equal(progress.hasReached(3), true);
  assert.equal(progress.hasReached(4), false);
});

test("the same numbers are metrics", async () => {
  const { progress, metrics } = open(spaces);
  progress.record("a", { kind: "synced", revision: 3 });
  progress.record("b", { kind: "failing", reason: "QuotaExceeded" });
  const text = await metrics.metrics();
  assert.match(text, /^slipway_credentials_namespaces\{state="synced"\} 1$/m);
  assert.match(text, /^slipway_credentials_namespaces\{state="failing"\} 1$/m);
  assert.match(text, /^slipway_credentials_namespaces\{state="total"\} 3$/m);
  assert.match(text, /^slipway_credentials_revision 3$/m);
});

test("a revision is reached by those that were looked at with it or a later one; the others are named with the reason", () => {
  const { progress } = open(spaces);
  progress.record("b", { kind: "synced", revision: 4 });
  progress.record("e", { kind: "failing", reason: "PolicyDenied" });
  assert.deepEqual(progress.reach(4), { total: 3, behind: [{ name: "a" }, { name: "e", reason: "PolicyDenied" }] });
  progress.record("a", { kind: "synced", revision: 3 });
  assert.deepEqual(
    progress.reach(4).behind.map(({ name }) => name),
    ["a", "e"],
  );
  assert.deepEqual(
    progress.reach(3).behind.map(({ name }) => name),
    ["e"],
  );
});
