import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createCertificateWorld } from "../../test/fake/certificate-world.ts";
import { bundlePem } from "./authority-secret.ts";

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

describe("twelve years of certificates", () => {
  for (const reports of [true, false]) {
    test(`no client is ever shown what it does not trust, ${reports ? "with" : "without"} reports of nodes`, () => {
      const world = createCertificateWorld({ trustDelayMs: 8 * minuteMs, reports });
      world.settle();
      world.pass(8 * minuteMs);
      const endMs = world.state().nowMs + 12 * 365 * dayMs;
      while (world.state().nowMs < endMs) {
        world.settle();
        assert.ok(world.isServed(), new Date(world.state().nowMs).toISOString());
        assert.ok(world.state().authority.bundle.length <= 2);
        world.pass(world.isUnsettled() ? 20_000 : dayMs / 2);
      }
      assert.equal(world.issued.authorities, 2);
      const renewals = (12 * 365) / 60;
      assert.ok(Math.abs(world.issued.leaves - renewals) < 4, `${world.issued.leaves}`);
    });
  }
});

describe("recovery", () => {
  /** A world in which everything has been in place for a day. */
  const settled = () => {
    const world = createCertificateWorld({ trustDelayMs: 5 * minuteMs, reports: true });
    world.settle();
    world.pass(dayMs);
    assert.deepEqual(world.settle(), []);
    return world;
  };
  const runUntilQuiet = (world: ReturnType<typeof createCertificateWorld>) => {
    const taken: string[] = [...world.settle()];
    for (let count = 0; world.isUnsettled() && count < 1_000; count++) {
      assert.ok(world.isServed());
      world.pass(20_000);
      taken.push(...world.settle());
    }
    return taken;
  };

  test("a leaf that is gone is issued at once", () => {
    const world = settled();
    world.change({ leaf: { facts: undefined, pair: undefined, issuer: undefined, bundle: "" } });
    assert.deepEqual(world.settle(), ["issue-leaf absent"]);
  });

  test("a leaf of somebody else's CA is replaced at once", () => {
    const world = settled();
    world.change({ leaf: { issuer: undefined } });
    assert.deepEqual(world.settle(), ["issue-leaf untrusted"]);
  });

  test("other names are a new leaf", () => {
    const world = settled();
    world.want({ dnsNames: ["registry"], addresses: ["10.0.0.1"] });
    assert.deepEqual(world.settle(), ["issue-leaf renamed"]);
  });

  test("other names are a new leaf at once, seconds after the installation too", () => {
    const world = createCertificateWorld({ trustDelayMs: Number.POSITIVE_INFINITY, reports: true });
    world.settle();
    world.pass(1_000);
    world.want({ dnsNames: ["registry"], addresses: ["10.0.0.1"] });
    assert.deepEqual(world.settle(), ["issue-leaf renamed"]);
  });

  test("a new CA that every node has reported signs only when mounted Secrets have followed as well", () => {
    const world = createCertificateWorld({ trustDelayMs: 0, reports: true });
    world.settle();
    world.pass(dayMs);
    world.settle();
    const first = world.state().leaf.issuer?.fingerprint;
    world.change({ authority: { rotateRequested: "x" } });
    world.settle();
    world.pass(90_000);
    world.settle();
    assert.equal(world.state().leaf.issuer?.fingerprint, first);
    world.pass(60_000);
    world.settle();
    assert.notEqual(world.state().leaf.issuer?.fingerprint, first);
  });

  test("a CA that is gone is replaced, and its leaf is served until the new CA has spread", () => {
    const world = settled();
    world.change({ authority: { current: undefined, next: undefined, bundle: [], since: {}, intact: false } });
    const taken = runUntilQuiet(world);
    assert.deepEqual(taken.slice(0, 2), ["issue-authority", "write-leaf"]);
    assert.ok(taken.includes("issue-leaf authority-changed"));
    assert.equal(world.state().authority.bundle.length, 1);
  });

  test("everything expired while all was down is made anew in one go", () => {
    const world = settled();
    world.pass(11 * 365 * dayMs);
    assert.deepEqual(world.settle(), ["issue-authority", "issue-leaf expired"]);
    assert.equal(world.state().authority.bundle.length, 1);
  });

  test("a marker that is gone is put back without a new certificate", () => {
    const world = settled();
    world.change({ authority: { intact: false }, leaf: { intact: false } });
    assert.deepEqual(world.settle(), ["write-authority", "write-leaf"]);
  });

  test("a requested rotation replaces CA and leaf, and happens once", () => {
    const world = settled();
    const before = world.state().authority.current?.facts.fingerprint;
    world.change({ authority: { rotateRequested: "2026-01" } });
    const taken = runUntilQuiet(world);
    assert.equal(taken.filter((step) => step === "issue-authority").length, 1);
    assert.notEqual(world.state().authority.current?.facts.fingerprint, before);
    assert.equal(world.state().leaf.bundle, bundlePem(world.state().authority.bundle));
    world.pass(dayMs);
    assert.deepEqual(world.settle(), []);
  });

  test("a CA that nobody is known to have read never signs while a good leaf is served", () => {
    const world = createCertificateWorld({ trustDelayMs: Number.POSITIVE_INFINITY, reports: true });
    world.settle();
    world.pass(dayMs);
    world.change({ authority: { rotateRequested: "x" } });
    const first = world.state().authority.current?.facts.fingerprint;
    world.settle();
    world.pass(5 * minuteMs);
    world.settle();
    assert.equal(world.state().authority.current?.facts.fingerprint, first);
  });
});
