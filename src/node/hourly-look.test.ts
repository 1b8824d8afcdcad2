import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { createLog } from "../log.ts";
import { createHourlyLook } from "./hourly-look.ts";
import type { NodeOrders } from "./protocol.ts";
import type { LookOutcome } from "./registry-look.ts";
import { failedFinding, passedFinding, type StrategyCheck } from "./strategy.ts";

const target = { url: "https://10.0.0.1:443", ca: null, kind: "hosted" } as const;
const good: StrategyCheck = { finding: passedFinding("HostsToml", ""), trustedCas: [], usesCa: true, target };

function orders(lookCount = 0, checkLogin: { username: string; password: string } | null = login): NodeOrders {
  const registry = { names: [], server: target.url, serverName: "x", ca: null, loopbackPort: 7443, checkLogin };
  return { protocol: 1, revision: "r", registry, modes: ["HostsToml"], remove: [], lookCount };
}
const login = { username: "u", password: "p" };

function open(outcomes: LookOutcome[] = []) {
  const clock = createManualClock();
  let looks = 0;
  const look = createHourlyLook({
    look: async () => {
      looks += 1;
      return outcomes.shift() ?? { kind: "pulled", bytes: 100 };
    },
    clock,
    log: createLog({ level: "silent" }),
  });
  const extend = (check = good, given = orders()) => look.extend(check, given, new AbortController().signal);
  return { clock, extend, looks: () => looks };
}

describe("the hourly look", () => {
  test("is made a minute after the first pass and then once an hour", async () => {
    const { clock, extend, looks } = open();
    for (let minute = 0; minute <= 125; minute += 1) {
      assert.equal(await extend(), good);
      await clock.advance(60_000);
    }
    assert.equal(looks(), 3);
  });
  test("is made at once when serve counts up, and only once for it", async () => {
    const { extend, looks } = open();
    await extend();
    await extend(good, orders(1));
    await extend(good, orders(1));
    assert.equal(looks(), 1);
  });
  test("that fails makes the mode fail, until one passes", async () => {
    const failure = { reason: "LoginRefused", message: "401" };
    const { extend } = open([
      { kind: "failed", failure },
      { kind: "failed", failure },
    ]);
    await extend();
    assert.deepEqual((await extend(good, orders(1))).finding, failedFinding("HostsToml", failure));
    assert.equal((await extend(good, orders(1))).finding.passed, false);
    assert.equal(await extend(good, orders(1)), good);
  });
  test("that finds no image is repeated a minute later", async () => {
    const { clock, extend, looks } = open([{ kind: "absent" }]);
    await extend();
    assert.equal(await extend(good, orders(1)), good);
    await clock.advance(59_000);
    await extend(good, orders(1));
    assert.equal(looks(), 1);
    await clock.advance(1_000);
    await extend(good, orders(1));
    assert.equal(looks(), 2);
  });
  test("is left out without a login, and where the mode does not pass anyhow", async () => {
    const { extend, looks } = open();
    const bad = { ...good, finding: failedFinding("HostsToml", { reason: "Unreachable", message: "" }) };
    await extend();
    await extend(bad, orders(1));
    await extend(good, orders(2, null));
    assert.equal(looks(), 0);
  });
});
