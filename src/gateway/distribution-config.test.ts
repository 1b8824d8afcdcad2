import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { distributionConfig } from "./distribution-config.ts";

const filesystem = { kind: "filesystem", rootDirectory: "/var/lib/registry" } as const;
const tokenAuthorityPath = "/etc/slipway/token-ca.crt";

test("there is no cache, no redirect and no debug port, deletes are on and only RS256 counts", () => {
  const config = parse(distributionConfig({ storage: filesystem, tokenAuthorityPath }));
  assert.equal(config.storage.cache, undefined);
  assert.deepEqual(config.storage.redirect, { disable: true });
  assert.deepEqual(config.storage.delete, { enabled: true });
  assert.equal(config.http.debug, undefined);
  assert.equal(config.http.addr, "127.0.0.1:5000");
  assert.equal(config.http.draintimeout, "1s");
  assert.deepEqual(config.auth.token.signingalgorithms, ["RS256"]);
  assert.equal(config.auth.token.autoredirect, true);
  assert.equal(config.auth.token.rootcertbundle, tokenAuthorityPath);
});

test("an S3 store has no keys unless they are given: they come by the environment", () => {
  const storage = { kind: "s3", bucket: "images", region: "us-east-1", forcePathStyle: true } as const;
  const config = parse(distributionConfig({ storage, tokenAuthorityPath }));
  assert.deepEqual(config.storage.s3, { bucket: "images", region: "us-east-1", forcepathstyle: true });
  assert.equal(config.http.draintimeout, "20s");
});

test("the same options give the same text", () => {
  const options = { storage: filesystem, tokenAuthorityPath, httpSecret: "a" };
  assert.equal(distributionConfig(options), distributionConfig({ ...options }));
});
