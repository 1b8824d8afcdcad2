import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { before, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import forge from "node-forge";
import {
  type CertificatePair,
  certificateNames,
  isIssuedBy,
  isPair,
  readBundle,
  readCertificate,
  sameNames,
} from "./certificate.ts";
import { authorityLifeMs, backdateMs, issueAuthority, issueLeaf, leafLifeMs } from "./issue.ts";

const nowMs = Date.UTC(2026, 10, 21);
const names = certificateNames(["registry.example.com", "127.0.0.1", "0:0:0:0:0:0:0:1"]);

describe("certificates that we issue", () => {
  let authority: CertificatePair;
  let leaf: CertificatePair;
  before(async () => {
    authority = await issueAuthority({ commonName: "slipway CA", nowMs });
    leaf = await issueLeaf({ authority, commonName: "registry", names, nowMs });
  });

  test("the leaf is signed by the authority, belongs to its key and carries every name", () => {
    assert.ok(isIssuedBy(leaf.certificate, authority.certificate));
    assert.ok(!isIssuedBy(authority.certificate, leaf.certificate));
    assert.ok(isPair(leaf) && isPair(authority));
    assert.ok(!isPair({ certificate: leaf.certificate, key: authority.key }));
    const facts = readCertificate(leaf.certificate) ?? assert.fail();
    assert.ok(sameNames(facts.names, names));
    assert.deepEqual(facts.names.addresses, ["127.0.0.1", "::1"]);
    const certificate = new X509Certificate(leaf.certificate);
    assert.equal(certificate.checkHost("registry.example.com"), "registry.example.com");
    assert.equal(certificate.checkIP("::1"), "::1");
  });

  test("lives are ten years and ninety days, begun a little in the past", () => {
    for (const [pair, lifeMs] of [
      [authority, authorityLifeMs],
      [leaf, leafLifeMs],
    ] as const) {
      const facts = readCertificate(pair.certificate) ?? assert.fail();
      assert.equal(facts.notAfterMs, nowMs + lifeMs);
      assert.equal(facts.notBeforeMs, nowMs - backdateMs);
    }
  });

  test("signatures are SHA-256, never forge's default SHA-1", () => {
    for (const { certificate } of [authority, leaf]) {
      const { signatureOid } = forge.pki.certificateFromPem(certificate) as { signatureOid?: string };
      assert.equal(signatureOid, forge.pki.oids.sha256WithRSAEncryption);
    }
  });

  test("serials are positive and differ", async () => {
    const serials = new Set<string>();
    for (let count = 0; count < 6; count++) {
      const { certificate } = await issueLeaf({ authority, commonName: "x", names, nowMs });
      const { serialNumber } = new X509Certificate(certificate);
      assert.equal(serialNumber.length, 32);
      assert.ok(Number.parseInt(serialNumber.slice(0, 2), 16) < 0x80);
      serials.add(serialNumber);
    }
    assert.equal(serials.size, 6);
  });

  test("the event loop goes on while keys are made", async () => {
    let turns = 0;
    let done = false;
    const issuing = issueAuthority({ commonName: "x", nowMs }).finally(() => {
      done = true;
    });
    while (!done) {
      await turn();
      turns++;
    }
    await issuing;
    assert.ok(turns > 20, `${turns}`);
  });

  test("a bundle is read one by one, and what is no certificate is left out", () => {
    const text = `${authority.certificate}garbage\n${leaf.certificate}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`;
    assert.equal(readBundle(text).length, 2);
    assert.equal(readCertificate("nothing"), undefined);
  });
});
