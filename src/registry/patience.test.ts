import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { createPatience } from "./patience.ts";
import { RegistryError } from "./registry-error.ts";

const refused = new RegistryError({ status: 0, code: "ECONNREFUSED", message: "connect ECONNREFUSED" });
const untrusted = new RegistryError({ status: 0, code: "CERT_HAS_EXPIRED", message: "certificate has expired" });

test("a registry that is coming back is waited for, beyond the attempts, until the patience is over", async () => {
  const clock = createManualClock();
  const patience = createPatience({ clock, random: () => 1 }, { attempts: 3, patienceMs: 30_000 });
  const delays: number[] = [];
  for (;;) {
    const delayMs = patience.afterFailure(refused);
    if (delayMs === undefined) break;
    delays.push(delayMs);
    await clock.advance(delayMs);
  }
  assert.deepEqual(delays.slice(0, 7), [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
  const waitedMs = delays.reduce((sum, delayMs) => sum + delayMs, 0);
  assert.ok(waitedMs >= 30_000 && waitedMs <= 35_000, `${waitedMs} ms`);
});

test("what does not pass by waiting has its attempts and no more", () => {
  const patience = createPatience({ clock: createManualClock(), random: () => 0 }, { attempts: 3, patienceMs: 30_000 });
  assert.deepEqual(
    [0, 1, 2].map(() => patience.afterFailure(untrusted)),
    [0, 0, undefined],
  );
});

test("after progress everything begins anew", async () => {
  const clock = createManualClock();
  const patience = createPatience({ clock, random: () => 0 }, { attempts: 1, patienceMs: 1_000 });
  assert.equal(patience.afterFailure(refused), 0);
  await clock.advance(1_000);
  patience.progressed();
  assert.equal(patience.afterFailure(refused), 0);
  await clock.advance(1_000);
  assert.equal(patience.afterFailure(refused), undefined);
});

test("the registry's own word for how long to wait counts, within bounds", () => {
  const busy = (retryAfterMs: number) =>
    new RegistryError({ status: 429, code: "TOOMANYREQUESTS", message: "", retryAfterMs });
  const patience = createPatience({ clock: createManualClock(), random: () => 0 }, { attempts: 5, patienceMs: 0 });
  assert.equal(patience.afterFailure(busy(2_000)), 2_000);
  assert.equal(patience.afterFailure(busy(3_600_000)), 30_000);
});
