import assert from "node:assert/strict";
import test from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { createLog } from "../log.ts";
import type { CredentialSource, SourceReading } from "./source.ts";
import { createSourceFollower } from "./source-follower.ts";

/** Lets every promise that can go on do so. */
const settle = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));

const entries = (password: string, expiresAtMs?: number): SourceReading => ({
  kind: "entries",
  entries: { "registry.example.com": { username: "u", password } },
  findings: [],
  ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
});
const failed: SourceReading = { kind: "failed", reason: "SourceUnreachable", message: "away" };

/** A source that gives what `next` says and counts how often it was asked. */
function countingSource(id: string, refreshMs: number, next: (count: number) => SourceReading) {
  let reads = 0;
  const source: CredentialSource = { id, refreshMs, read: async () => next(++reads) };
  return { source, reads: () => reads };
}

function start(t: test.TestContext) {
  const clock = createManualClock();
  const follower = createSourceFollower({ clock, random: () => 1, log: createLog({ level: "silent" }) });
  const changes: string[] = [];
  follower.onChange((id) => changes.push(id));
  const stop = new AbortController();
  const run = follower.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await run;
  });
  const advance = async (durationMs: number) => {
    await clock.advance(durationMs);
    await settle();
  };
  return { clock, advance, follower, changes };
}

test("a source is read once per refresh, however often it is followed and asked for", async (t) => {
  const { follower, advance } = start(t);
  const { source, reads } = countingSource("token/a", 60_000, () => entries("p"));
  for (let count = 0; count < 100; count++) follower.follow([source]);
  await settle();
  for (let count = 0; count < 100; count++) assert.equal(follower.latest("token/a")?.kind, "entries");
  assert.equal(reads(), 1);
  await advance(59_999);
  assert.equal(reads(), 1);
  await advance(1);
  assert.equal(reads(), 2);
});

test("a change is told once, an equal reading never", async (t) => {
  const { follower, advance, changes } = start(t);
  const { source } = countingSource("token/a", 1_000, (count) => entries(count < 3 ? "old" : "new"));
  follower.follow([source]);
  await settle();
  assert.deepEqual(changes, ["token/a"]);
  await advance(1_000);
  assert.deepEqual(changes, ["token/a"]);
  await advance(1_000);
  assert.deepEqual(changes, ["token/a", "token/a"]);
});

test("a login that ends is fetched anew after three quarters of its life", async (t) => {
  const { follower, advance, clock } = start(t);
  const { source, reads } = countingSource("token/a", 3_600_000, (count) =>
    entries(`p${count}`, clock.nowMs() + 400_000),
  );
  follower.follow([source]);
  await settle();
  await advance(299_999);
  assert.equal(reads(), 1);
  await advance(1);
  assert.equal(reads(), 2);
});

test("a later end alone is no change: nothing is fanned out for it", async (t) => {
  const { follower, advance, clock, changes } = start(t);
  const { source } = countingSource("token/a", 1_000, () => entries("p", clock.nowMs() + 400_000));
  follower.follow([source]);
  await settle();
  await advance(1_000);
  assert.deepEqual(changes, ["token/a"]);
});

test("a failing source is asked again with a growing pause, at most its refresh", async (t) => {
  const { follower, advance } = start(t);
  const { source, reads } = countingSource("token/a", 60_000, () => failed);
  follower.follow([source]);
  await settle();
  for (const [pauseMs, want] of [
    [5_000, 2],
    [10_000, 3],
    [20_000, 4],
    [40_000, 5],
    [60_000, 6],
    [60_000, 7],
  ] as const) {
    await advance(pauseMs);
    assert.equal(reads(), want);
  }
});

test("a source that never answers fails after thirty seconds", async (t) => {
  const { follower, advance } = start(t);
  const source: CredentialSource = { id: "token/a", refreshMs: 60_000, read: () => new Promise(() => undefined) };
  follower.follow([source]);
  await settle();
  assert.equal(follower.latest("token/a"), undefined);
  await advance(30_000);
  assert.equal(follower.latest("token/a")?.kind, "failed");
});

test("a source that throws is a failed reading", async (t) => {
  const { follower } = start(t);
  follower.follow([{ id: "token/a", refreshMs: 60_000, read: () => Promise.reject(new Error("a fault")) }]);
  await settle();
  assert.equal(follower.latest("token/a")?.kind, "failed");
});

test("a source that is followed no longer is forgotten and not read again", async (t) => {
  const { follower, advance } = start(t);
  const { source, reads } = countingSource("token/a", 1_000, () => entries("p"));
  follower.follow([source]);
  await settle();
  follower.follow([]);
  await advance(10_000);
  assert.equal(reads(), 1);
  assert.equal(follower.latest("token/a"), undefined);
});
