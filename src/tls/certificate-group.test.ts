import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { authorityData, createCertificateStage } from "../../test/fake/certificate-stage.ts";
import { createHandMadeAuthority } from "../../test/fake/hand-made-authority.ts";
import { createSelfSigned } from "../../test/fake/self-signed.ts";
import { rotateAnnotation } from "./authority-secret.ts";
import { isIssuedBy } from "./certificate.ts";
import { issueLeaf } from "./issue.ts";

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
type Stage = ReturnType<typeof createCertificateStage>;

async function settled(options = { reports: true }): Promise<Stage> {
  const stage = createCertificateStage(options);
  await stage.settle();
  await stage.clock.advance(dayMs);
  assert.equal(await stage.settle(), false);
  return stage;
}

/** Looks every twenty seconds until nothing is under way; each client is served throughout. */
async function settleDown(stage: Stage): Promise<void> {
  for (let looks = 0; await stage.settle(); looks++) {
    assert.ok(looks < 1_000, "it never settles");
    stage.assertServed();
    await stage.clock.advance(20_000);
    stage.assertServed();
  }
  stage.assertServed();
}

const signed = (stage: Stage) => isIssuedBy(stage.served(), stage.authority());

test("twelve years with real certificates: whoever trusts the published bundle verifies what is served", async () => {
  const stage = createCertificateStage({ reports: false });
  await stage.settle();
  await stage.clock.advance(dayMs);
  const endMs = stage.clock.nowMs() + 12 * 365 * dayMs;
  const [leaves, authorities] = [new Set<string>(), new Set<string>()];
  while (stage.clock.nowMs() < endMs) {
    const unsettled = await stage.settle();
    stage.assertServed();
    assert.ok(stage.bundle().length <= 2);
    leaves.add(stage.served());
    authorities.add(stage.authority());
    // What is served and trusted stays as it is between two looks, so the end of the pause stands for every minute of it.
    await stage.clock.advance(unsettled ? minuteMs : 3 * dayMs);
    stage.assertServed();
  }
  assert.equal(authorities.size, 2);
  assert.ok(Math.abs(leaves.size - (12 * 365) / 60) < 6, `${leaves.size}`);
});

describe("an authority that was replaced by hand", () => {
  test("signs when its clients have had the time to follow, whatever its name and key identifier look like", async () => {
    const stage = await settled();
    const own = createHandMadeAuthority({ nowMs: stage.clock.nowMs(), lifeDays: 20 * 365 });
    const before = stage.served();
    stage.put("ca", authorityData(own));
    await stage.settle();
    assert.equal(stage.served(), before, "clients do not know the new one yet");
    assert.equal(stage.bundle().length, 2);
    await settleDown(stage);
    assert.equal(stage.authority(), own.certificate);
    assert.ok(signed(stage));
    assert.equal(stage.bundle().length, 1);
  });

  test("the whole Secret replaced, with nothing but a certificate and its key: the same", async () => {
    const stage = await settled();
    const own = createHandMadeAuthority({ nowMs: stage.clock.nowMs() });
    stage.put("ca", undefined);
    stage.put("ca", authorityData(own));
    await settleDown(stage);
    assert.equal(stage.authority(), own.certificate);
    assert.ok(signed(stage));
  });

  test("one that lives shorter than a leaf is replaced in its turn", async () => {
    const stage = await settled();
    const own = createHandMadeAuthority({ nowMs: stage.clock.nowMs(), lifeDays: 40 });
    stage.put("ca", authorityData(own));
    await settleDown(stage);
    for (let day = 0; day < 60; day++) {
      await stage.clock.advance(dayMs);
      await settleDown(stage);
    }
    assert.notEqual(stage.authority(), own.certificate);
    assert.ok(signed(stage));
  });

  const now = Date.UTC(2026, 0, 2);
  const root = createHandMadeAuthority({ nowMs: now });
  const intermediate = createHandMadeAuthority({ nowMs: now, issuer: root });
  const elliptic = createSelfSigned();
  const unusable = [
    { name: "no PEM at all", data: { "ca.crt": "garbage", "ca.key": "garbage" } },
    { name: "an empty certificate", data: { "ca.crt": "" } },
    { name: "a key of another certificate", data: { "ca.key": root.key } },
    { name: "an elliptic key", data: { "ca.crt": elliptic.cert, "ca.key": elliptic.key } },
    { name: "an intermediate", data: authorityData(intermediate) },
    {
      name: "a chain",
      data: { "ca.crt": intermediate.certificate + root.certificate, "ca.key": intermediate.key },
    },
    { name: "no right to sign", data: authorityData(createHandMadeAuthority({ nowMs: now, maySign: false })) },
    { name: "its end in the past", data: authorityData(createHandMadeAuthority({ nowMs: now, lifeDays: -0.5 })) },
  ];
  for (const { name, data } of unusable) {
    test(`with ${name}: a new one of ours follows, no client is lost, and the log says so`, async () => {
      const stage = await settled();
      stage.put("ca", data);
      await settleDown(stage);
      assert.ok(signed(stage));
      assert.notEqual(stage.authority(), data["ca.crt"]);
      const hasWarned = stage.lines.some((line) => line.includes("cannot be used"));
      assert.equal(hasWarned, data["ca.crt"] !== "", stage.lines.join(""));
      const { length } = stage.lines;
      await stage.clock.advance(dayMs);
      const writes = stage.writes();
      assert.equal(await stage.settle(), false);
      assert.equal(stage.writes(), writes, "nothing is written any more");
      assert.equal(stage.lines.length, length);
    });
  }
});

describe("what is lost", () => {
  test("the authority alone: its leaf is served until the new one is known", async () => {
    const stage = await settled({ reports: false });
    stage.put("ca", undefined);
    await settleDown(stage);
    assert.ok(signed(stage));
  });

  test("authority and leaf: both are made at once, since nothing else could be served", async () => {
    const stage = await settled();
    stage.put("ca", undefined);
    stage.put("leaf", undefined);
    await stage.settle();
    assert.ok(signed(stage));
    await stage.clock.advance(dayMs);
    assert.equal(await stage.settle(), false);
    stage.assertServed();
  });

  test("a leaf of another authority with that authority beside it is replaced at once", async () => {
    const stage = await settled();
    const authority = createHandMadeAuthority({ nowMs: stage.clock.nowMs() });
    const names = { dnsNames: ["registry.example.com"], addresses: [] };
    const pair = await issueLeaf({ authority, commonName: "x", names, nowMs: stage.clock.nowMs() });
    const data = { "tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": authority.certificate };
    stage.put("leaf", data);
    await stage.settle();
    assert.ok(signed(stage));
    assert.equal(stage.bundle().length, 1);
    stage.assertServed();
  });

  test("all, while everything was down for eleven years: one pass makes it anew", async () => {
    const stage = await settled();
    const before = stage.authority();
    await stage.clock.advance(11 * 365 * dayMs);
    await stage.settle();
    assert.notEqual(stage.authority(), before);
    assert.ok(signed(stage));
    assert.equal(stage.bundle().length, 1);
  });
});

describe("a clock that is wrong", () => {
  test("a year ahead and put right: what was made meanwhile is replaced, and all settles", async () => {
    const stage = await settled();
    stage.clock.jump(365 * dayMs);
    await stage.settle();
    stage.clock.jump(-365 * dayMs);
    await stage.settle();
    await stage.clock.advance(200_000);
    await stage.settle();
    stage.assertServed();
    await stage.clock.advance(dayMs);
    assert.equal(await stage.settle(), false);
    stage.assertServed();
  });

  test("an hour back in the middle of a rotation: it goes on, and nobody is lost", async () => {
    const stage = await settled();
    const before = stage.authority();
    stage.annotate({ [rotateAnnotation]: "1" });
    await stage.settle();
    stage.clock.jump(-60 * minuteMs);
    await settleDown(stage);
    assert.notEqual(stage.authority(), before);
    assert.ok(signed(stage));
    assert.equal(stage.bundle().length, 1);
  });
});
