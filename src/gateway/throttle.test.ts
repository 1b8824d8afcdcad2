import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { createThrottle } from "./throttle.ts";

test("the eleventh failed login of an address within a second is over the limit, for that address alone", async () => {
  const clock = createManualClock();
  const throttle = createThrottle({ clock, limit: 10 });
  for (let count = 0; count < 10; count++) {
    assert.equal(throttle.isOver("192.0.2.1"), false);
    throttle.fail("192.0.2.1");
  }
  assert.equal(throttle.isOver("192.0.2.1"), true);
  assert.equal(throttle.isOver("192.0.2.2"), false);
  await clock.advance(1_000);
  assert.equal(throttle.isOver("192.0.2.1"), false);
});

test("it remembers a bounded number of addresses, the newest", () => {
  const throttle = createThrottle({ clock: createManualClock(), limit: 1 });
  for (let index = 0; index <= 10_000; index++) throttle.fail(`address-${index}`);
  assert.equal(throttle.isOver("address-0"), false);
  assert.equal(throttle.isOver("address-10000"), true);
});
