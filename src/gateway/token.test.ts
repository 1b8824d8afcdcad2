import assert from "node:assert/strict";
import { sign } from "node:crypto";
import { before, describe, test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { type CertificatePair, certificateNames } from "../tls/certificate.ts";
import { issueAuthority, issueLeaf } from "../tls/issue.ts";
import { createTokenIssuer, createTokenVerifier } from "./token.ts";

const none = certificateNames([]);
const access = [{ type: "repository", name: "team-a/app", actions: ["pull"] }];

describe("tokens", () => {
  const clock = createManualClock();
  let authority: CertificatePair;
  let foreign: CertificatePair;
  let leaf: CertificatePair;
  before(async () => {
    const nowMs = clock.nowMs();
    authority = await issueAuthority({ commonName: "token CA", nowMs });
    foreign = await issueAuthority({ commonName: "foreign CA", nowMs });
    leaf = await issueLeaf({ authority, commonName: "tokens", names: none, nowMs });
  });
  const source = (pair: CertificatePair | undefined) => ({ current: () => pair, onChange: () => undefined });
  const issue = async (pair: CertificatePair) => {
    const issued = await createTokenIssuer({ signing: source(pair), clock }).issue("shared", access);
    return issued?.token ?? assert.fail("no token");
  };
  const verifier = (bundle: string) => createTokenVerifier({ authorities: () => bundle, clock });

  test("a token is verified by the authority of its leaf, current or previous", async () => {
    const token = await issue(leaf);
    const claims = await verifier(`${foreign.certificate}${authority.certificate}`).verify(token);
    assert.deepEqual([claims?.sub, claims?.access], ["shared", access]);
    assert.equal(await verifier(foreign.certificate).verify(token), undefined);
    assert.equal(await verifier("").verify(token), undefined);
  });

  test("a token ends after five minutes", async () => {
    const token = await issue(leaf);
    await clock.advance(299_000);
    assert.ok(await verifier(authority.certificate).verify(token));
    await clock.advance(1_000);
    assert.equal(await verifier(authority.certificate).verify(token), undefined);
  });

  test("a token of a leaf that has expired is nothing, though it is of this minute", async () => {
    const longAgoMs = clock.nowMs() - 91 * 24 * 3_600_000;
    const old = await issueAuthority({ commonName: "token CA", nowMs: longAgoMs });
    const expired = await issueLeaf({ authority: old, commonName: "tokens", names: none, nowMs: longAgoMs });
    assert.equal(await verifier(old.certificate).verify(await issue(expired)), undefined);
    const fresh = await issueLeaf({ authority: old, commonName: "tokens", names: none, nowMs: clock.nowMs() });
    assert.ok(await verifier(old.certificate).verify(await issue(fresh)));
  });

  test("a token that was once found genuine still ends after five minutes", async () => {
    const token = await issue(leaf);
    const one = verifier(authority.certificate);
    for (let minute = 0; minute < 5; minute++) {
      assert.ok(await one.verify(token), `minute ${minute}`);
      await clock.advance(59_900);
    }
    assert.ok(await one.verify(token));
    await clock.advance(500);
    assert.equal(await one.verify(token), undefined);
  });

  test("a token that was once found genuine is nothing as soon as its authority is no longer trusted", async () => {
    let bundle = authority.certificate;
    const one = createTokenVerifier({ authorities: () => bundle, clock });
    const token = await issue(leaf);
    assert.ok(await one.verify(token));
    bundle = foreign.certificate;
    assert.equal(await one.verify(token), undefined);
    bundle = authority.certificate;
    assert.ok(await one.verify(token));
  });

  test("a genuine token with another signature is nothing, before and after", async () => {
    const one = verifier(authority.certificate);
    const token = await issue(leaf);
    const other = `${token.slice(0, token.lastIndexOf("."))}.${Buffer.alloc(256, 1).toString("base64url")}`;
    assert.equal(await one.verify(other), undefined);
    assert.ok(await one.verify(token));
    assert.equal(await one.verify(other), undefined);
  });

  test("a new leaf signs the next token", async () => {
    let pair = leaf;
    const issuer = createTokenIssuer({ signing: { current: () => pair, onChange: () => undefined }, clock });
    const first = await issuer.issue("shared", access);
    pair = await issueLeaf({ authority, commonName: "tokens", names: none, nowMs: clock.nowMs() });
    const second = await issuer.issue("shared", access);
    const heads = [first, second].map((issued) => issued?.token.split(".")[0]);
    assert.notEqual(heads[0], heads[1]);
    for (const issued of [first, second]) {
      assert.ok(await verifier(authority.certificate).verify(issued?.token ?? ""));
    }
  });

  test("a token whose claims were changed is nothing", async () => {
    const [head = "", body = "", signature = ""] = (await issue(leaf)).split(".");
    const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as Record<string, unknown>;
    const changed = Buffer.from(JSON.stringify({ ...claims, sub: "admin" })).toString("base64url");
    assert.equal(await verifier(authority.certificate).verify(`${head}.${changed}.${signature}`), undefined);
  });

  test("another algorithm, none or a shared secret, is nothing", async () => {
    const [, body = "", signature = ""] = (await issue(leaf)).split(".");
    for (const alg of ["none", "HS256", "RS512"]) {
      const head = Buffer.from(JSON.stringify({ alg, x5c: [] })).toString("base64url");
      assert.equal(await verifier(authority.certificate).verify(`${head}.${body}.${signature}`), undefined);
    }
  });

  test("the certificate of an authority signs no token", async () => {
    assert.equal(await verifier(authority.certificate).verify(await issue(authority)), undefined);
  });

  test("a token of our leaf for another audience or issuer is nothing", async () => {
    const [head = "", body = ""] = (await issue(leaf)).split(".");
    const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as Record<string, unknown>;
    for (const change of [{ aud: "other" }, { iss: "other" }, { aud: ["slipway-registry"] }]) {
      const changed = Buffer.from(JSON.stringify({ ...claims, ...change })).toString("base64url");
      const signature = sign("sha256", Buffer.from(`${head}.${changed}`), leaf.key).toString("base64url");
      assert.equal(await verifier(authority.certificate).verify(`${head}.${changed}.${signature}`), undefined);
    }
  });

  for (const text of ["", "a", "a.b", "a.b.c", "a.b.c.d", "e30.e30.e30", `${"x".repeat(70_000)}.e30.e30`]) {
    test(`'${text.slice(0, 12)}' is nothing`, async () => {
      assert.equal(await verifier(authority.certificate).verify(text), undefined);
    });
  }

  test("without a certificate no token is issued", async () => {
    assert.equal(await createTokenIssuer({ signing: source(undefined), clock }).issue("shared", access), undefined);
  });
});
