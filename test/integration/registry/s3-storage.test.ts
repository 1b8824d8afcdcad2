import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { freePort, startDistribution } from "../../../src/dev/distribution.ts";
import { type RunningProgram, startProgram } from "../../../src/dev/process.ts";
import { distributionConfig } from "../../../src/gateway/distribution-config.ts";
import { createRegistryClient } from "../../../src/registry/client.ts";
import { checkStorage, type StorageCheck } from "../../../src/registry/storage-check.ts";
import { adminLogin, findDistribution, issueCertificates, startGateway } from "../gateway/harness.ts";
import { findProgram } from "../gateway/program.ts";

const [program, versitygw] = [await findDistribution(), await findProgram("versitygw")];
const missing =
  program === undefined ? "registry (CNCF Distribution 3.1)" : versitygw === undefined ? "versitygw" : undefined;
const skip = missing === undefined ? false : `no program ${missing} on PATH`;
const signal = AbortSignal.timeout(600_000);
const keys = { access: "slipway-test", secret: "slipway-test-secret" };

describe("the write by which S3 storage is judged, against a real S3 server", { skip }, () => {
  let folder: string;
  let url: string;
  let server: RunningProgram;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slipway-s3-"));
    await mkdir(join(folder, "data", "images"), { recursive: true });
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const login = ["--access", keys.access, "--secret", keys.secret];
    server = await startProgram({
      command: versitygw ?? "",
      args: ["--port", `127.0.0.1:${port}`, ...login, "posix", join(folder, "data")],
      env: {},
      isReady: () =>
        fetch(url).then(
          () => true,
          () => false,
        ),
      timeoutMs: 60_000,
      clock: systemClock,
    });
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Distribution with these keys and this bucket, a gateway in front, and what the leader finds. */
  async function check(changes: {
    readonly secret?: string;
    readonly bucket?: string;
    readonly url?: string;
  }): Promise<StorageCheck> {
    const certificates = await issueCertificates();
    const tokenAuthorityPath = join(folder, "token-ca.crt");
    const configFile = join(folder, "config.yml");
    await writeFile(tokenAuthorityPath, certificates.tokenCa);
    const bucket = {
      bucket: changes.bucket ?? "images",
      region: "us-east-1",
      regionEndpoint: changes.url ?? url,
      forcePathStyle: true,
    };
    await writeFile(configFile, distributionConfig({ storage: { kind: "s3", ...bucket }, tokenAuthorityPath }));
    const environment = {
      REGISTRY_STORAGE_S3_ACCESSKEY: keys.access,
      REGISTRY_STORAGE_S3_SECRETKEY: changes.secret ?? keys.secret,
      REGISTRY_HTTP_SECRET: "shared by both",
    };
    const distribution = await startDistribution({ program: program ?? "", configFile, environment });
    const gateway = await startGateway({ distributionUrl: distribution.url, certificates });
    const client = createRegistryClient({
      origin: gateway.url,
      ca: () => gateway.ca,
      login: () => adminLogin,
      clock: systemClock,
      random: Math.random,
    });
    try {
      return await checkStorage(client, signal);
    } finally {
      client.close();
      await gateway.stop();
      await distribution.stop();
    }
  }

  test("right keys: it goes through", async () => assert.deepEqual(await check({}), { kind: "writable" }));

  const faults = [
    { name: "another secret key", changes: { secret: "wrong" } },
    { name: "a bucket that does not exist", changes: { bucket: "absent" } },
    { name: "nobody at the endpoint", changes: { url: "http://127.0.0.1:1" } },
  ];
  for (const { name, changes } of faults) {
    test(`${name}: it fails, and what to look at is said`, async () => {
      const found = await check(changes);
      assert.ok(found.kind === "failed");
      assert.equal(found.reason, "WriteFailed");
      assert.match(found.message, /credentials/);
    });
  }
});
