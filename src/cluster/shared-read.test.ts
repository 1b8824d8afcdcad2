import assert from "node:assert/strict";
import test from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { createSharedRead } from "./shared-read.ts";

/** A read whose answers the test gives, in the order of the questions. */
function open() {
  const reads: PromiseWithResolvers<string>[] = [];
  const clock = createManualClock();
  const read = () => {
    const answer = Promise.withResolvers<string>();
    reads.push(answer);
    return answer.promise;
  };
  const ask = createSharedRead({ read, patienceMs: 100, clock });
  const stop = new AbortController();
  /** Lets everything run that waits for no read. */
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { clock, reads, ask: (signal: AbortSignal = stop.signal) => ask(signal), settle };
}

test("nobody is told what was read before he asked, and a burst costs two reads", async () => {
  const { reads, ask, settle } = open();
  const first = ask();
  await settle();
  const later = [ask(), ask(), ask()];
  await settle();
  assert.equal(reads.length, 1);
  reads[0]?.resolve("old");
  assert.equal(await first, "old");
  await settle();
  assert.equal(reads.length, 2);
  reads[1]?.resolve("new");
  assert.deepEqual(await Promise.all(later), ["new", "new", "new"]);
});

test("a read that fails is heard of by those who asked for it, not by the next", async () => {
  const { reads, ask, settle } = open();
  const first = ask();
  await settle();
  const second = ask();
  reads[0]?.reject(new Error("broken"));
  await assert.rejects(first, /broken/);
  await settle();
  reads[1]?.resolve("good");
  assert.equal(await second, "good");
});

test("after a read has ended the next question is a new one", async () => {
  const { reads, ask, settle } = open();
  for (const answer of ["one", "two"]) {
    const asked = ask();
    await settle();
    reads.at(-1)?.resolve(answer);
    assert.equal(await asked, answer);
  }
  assert.equal(reads.length, 2);
});

test("a caller who gives up leaves the read to the others", async () => {
  const { reads, ask, settle } = open();
  const stop = new AbortController();
  const hasty = ask(stop.signal);
  const patient = ask();
  stop.abort(new Error("no time"));
  await assert.rejects(hasty, /no time/);
  await assert.rejects(ask(stop.signal), /no time/);
  await settle();
  reads[0]?.resolve("one");
  await settle();
  reads[1]?.resolve("two");
  assert.equal(await patient, "two");
});

test("nobody waits for long for a read of others that hangs", async () => {
  const { clock, reads, ask, settle } = open();
  const hanging = ask();
  await settle();
  const later = [ask(), ask()];
  await settle();
  await clock.advance(99);
  assert.equal(reads.length, 1);
  await clock.advance(1);
  await settle();
  assert.equal(reads.length, 2);
  reads[1]?.resolve("new");
  assert.deepEqual(await Promise.all(later), ["new", "new"]);
  reads[0]?.resolve("late");
  assert.equal(await hanging, "late");
});
