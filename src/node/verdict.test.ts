import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ModeFinding } from "./protocol.ts";
import {
  failureSpacingMs,
  formatVerdict,
  type NodeVerdict,
  nextVerdict,
  parseVerdict,
  verdictTrusts,
} from "./verdict.ts";

const start = 1_000_000;
const pass: ModeFinding = { mode: "HostsToml", passed: true, reason: "Passed", message: "" };
const fail: ModeFinding = { mode: "HostsToml", passed: false, reason: "Unreachable", message: "no route" };
const report = (...modes: readonly ModeFinding[]) => ({ uid: "u", findings: { modes, trustedCas: [] } });

function after(...findings: readonly ModeFinding[]): NodeVerdict["modes"]["HostsToml"] {
  let verdict: NodeVerdict | undefined;
  for (const [index, finding] of findings.entries()) {
    verdict = nextVerdict(verdict, report(finding), start + index * failureSpacingMs);
  }
  return verdict?.modes.HostsToml;
}

describe("the verdict of a node", () => {
  test("a pass is a pass", () => assert.equal(after(pass)?.passing, true));
  test("two failures do not unmake it", () =>
    assert.deepEqual([after(pass, fail, fail)?.passing, after(pass, fail, fail)?.failures], [true, 2]));
  test("three do", () =>
    assert.deepEqual([after(pass, fail, fail, fail)?.passing, after(pass, fail, fail, fail)?.failures], [false, 3]));
  test("a pass in between starts the count anew", () => assert.equal(after(pass, fail, fail, pass, fail)?.failures, 1));
  test("after three failures one pass is enough", () => assert.equal(after(fail, fail, fail, pass)?.passing, true));
  test("the count ends at three, so that a failing node is not written for ever", () => {
    const three = nextVerdict(
      { uid: "u", modes: { HostsToml: after(fail, fail, fail) ?? assert.fail() }, cas: [], removed: [] },
      report({ ...fail, message: "no route, said otherwise" }),
      start + 100 * failureSpacingMs,
    );
    assert.deepEqual(three.modes.HostsToml, after(fail, fail, fail));
  });
  test("quick looks in a row count once", () => {
    let verdict = nextVerdict(undefined, report(fail), start);
    for (const ms of [1_000, 3_000, 7_000, failureSpacingMs - 1])
      verdict = nextVerdict(verdict, report(fail), start + ms);
    assert.equal(verdict.modes.HostsToml?.failures, 1);
    assert.equal(nextVerdict(verdict, report(fail), start + failureSpacingMs).modes.HostsToml?.failures, 2);
  });
  test("another reason is told at once", () => {
    const verdict = nextVerdict(undefined, report(fail), start);
    const next = nextVerdict(verdict, report({ ...fail, reason: "WrongCertificate", message: "x" }), start + 1);
    assert.deepEqual([next.modes.HostsToml?.reason, next.modes.HostsToml?.failures], ["WrongCertificate", 1]);
  });
  test("a node that was made again starts anew", () => {
    const old = nextVerdict(undefined, report(pass), start);
    const next = nextVerdict(old, { ...report(fail), uid: "another" }, start + failureSpacingMs);
    assert.deepEqual([next.modes.HostsToml?.passing, next.modes.HostsToml?.failures], [false, 1]);
  });
  test("a mode that is not ordered any more is forgotten", () => {
    const old = nextVerdict(undefined, report(pass), start);
    assert.deepEqual(Object.keys(nextVerdict(old, report({ ...pass, mode: "External" }), start).modes), ["External"]);
  });
  test("it is read back as it was written", () => {
    const findings = {
      modes: [pass, { ...fail, mode: "External" as const }],
      trustedCas: ["ab".repeat(32)],
      removed: ["None" as const],
    };
    const verdict = nextVerdict(undefined, { uid: "u", findings }, start);
    assert.deepEqual(parseVerdict(formatVerdict(verdict)), verdict);
  });
  test("the CAs in use are recognised by fingerprint", () => {
    const verdict = nextVerdict(undefined, { uid: "u", findings: { modes: [], trustedCas: ["ab".repeat(32)] } }, start);
    assert.equal(verdictTrusts(verdict, "ab".repeat(32)), true);
    assert.equal(verdictTrusts(verdict, "cd".repeat(32)), false);
  });
  test("a value edited by hand is no verdict", () => {
    for (const text of ["", "null", "[]", "{}", '{"modes":1}']) assert.equal(parseVerdict(text), undefined);
  });
});
