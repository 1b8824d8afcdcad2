import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { type Distribution, freePort, startDistribution } from "../../../src/dev/distribution.ts";
import { type RunningProgram, startProgram } from "../../../src/dev/process.ts";
import { distributionConfig } from "../../../src/gateway/distribution-config.ts";
import { findDistribution, issueCertificates, startGateway, type TestGateway } from "./harness.ts";
import { findProgram } from "./program.ts";
import {
  createRegistryClient,
  digestOf,
  manifestType,
  pullLogin,
  pushImage,
  pushLogin,
  type RegistryClient,
} from "./registry-client.ts";

const [program, versitygw] = [await findDistribution(), await findProgram("versitygw")];
const missing =
  program === undefined ? "registry (CNCF Distribution 3.1)" : versitygw === undefined ? "versitygw" : undefined;
const skip = missing === undefined ? false : `no program ${missing} on PATH`;
const [accessKey, secretKey] = ["slipway-test", "slipway-test-secret"];
const login = pushLogin("team-a", "uid-a");

/** An S3 server with the bucket `images` on loopback. */
async function startS3(folder: string): Promise<{ readonly url: string; readonly server: RunningProgram }> {
  await mkdir(join(folder, "data", "images"), { recursive: true });
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const server = await startProgram({
    command: versitygw ?? "",
    args: ["--port", `127.0.0.1:${port}`, "--access", accessKey, "--secret", secretKey, "posix", join(folder, "data")],
    env: {},
    isReady: () =>
      fetch(url).then(
        () => true,
        () => false,
      ),
    timeoutMs: 60_000,
    clock: systemClock,
  });
  return { url, server };
}

describe("two replicas of Distribution on a real S3 server", { skip }, () => {
  let folder: string;
  let s3: Awaited<ReturnType<typeof startS3>>;
  const distributions: Distribution[] = [];
  const gateways: TestGateway[] = [];
  const clients: RegistryClient[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slipway-s3-"));
    s3 = await startS3(folder);
    const certificates = await issueCertificates();
    const tokenAuthorityPath = join(folder, "token-ca.crt");
    const configFile = join(folder, "config.yml");
    await writeFile(tokenAuthorityPath, certificates.tokenCa);
    const bucket = { bucket: "images", region: "us-east-1", regionEndpoint: s3.url, forcePathStyle: true };
    await writeFile(configFile, distributionConfig({ storage: { kind: "s3", ...bucket }, tokenAuthorityPath }));
    // As the pod has it: keys and the shared secret by the environment, see src/registry/pod-template.ts.
    const environment = {
      REGISTRY_STORAGE_S3_ACCESSKEY: accessKey,
      REGISTRY_STORAGE_S3_SECRETKEY: secretKey,
      REGISTRY_HTTP_SECRET: "shared by both",
    };
    for (let count = 0; count < 2; count++) {
      const distribution = await startDistribution({ program: program ?? "", configFile, environment });
      distributions.push(distribution);
      const gateway = await startGateway({ distributionUrl: distribution.url, certificates });
      gateways.push(gateway);
      clients.push(createRegistryClient(gateway));
    }
  });
  after(async () => {
    for (const client of clients) client.close();
    for (const gateway of gateways) await gateway.stop();
    for (const distribution of distributions) await distribution.stop();
    await s3.server.stop();
    await rm(folder, { recursive: true, force: true });
  });
  const replica = (index: number): RegistryClient => clients[index] ?? assert.fail(`no replica ${index}`);
  const bearer = async (client: RegistryClient, repository: string, actions = "pull,push") => ({
    authorization: `Bearer ${await client.token(login, `repository:${repository}:${actions}`)}`,
  });

  test("what one replica took in, the other gives out, to those who may", async () => {
    const image = await pushImage(replica(0), login, { repository: "team-a/app", tag: "v1" });
    assert.equal(image.status, 201);
    const pull = async (user: typeof login) => {
      const token = await replica(1).token(user, "repository:team-a/app:pull");
      const headers = { authorization: `Bearer ${token}`, accept: manifestType };
      return (await replica(1).ask("GET", "/v2/team-a/app/manifests/v1", { headers })).status;
    };
    assert.equal(await pull(pullLogin("team-a", "uid-a")), 200);
    assert.equal(await pull(pullLogin("team-b", "uid-b")), 401);
  });

  test("a layer of several parts is begun at one replica, ended at the other, and read in ranges", async () => {
    const bytes = randomBytes(24 * 1024 * 1024);
    const headers = await bearer(replica(0), "team-a/large");
    const begun = await replica(0).ask("POST", "/v2/team-a/large/blobs/uploads/", { headers });
    const location = new URL(begun.headers.location ?? "");
    const sent = await replica(0).ask("PATCH", `${location.pathname}${location.search}`, {
      headers: { ...headers, "content-type": "application/octet-stream" },
      body: bytes,
    });
    assert.equal(sent.status, 202);
    const last = new URL(sent.headers.location ?? "");
    last.searchParams.set("digest", digestOf(bytes));
    assert.equal((await replica(1).ask("PUT", `${last.pathname}${last.search}`, { headers })).status, 201);
    const path = `/v2/team-a/large/blobs/${digestOf(bytes)}`;
    const blob = await replica(1).ask("GET", path, { headers });
    assert.equal(digestOf(blob.body), digestOf(bytes));
    const part = await replica(0).ask("GET", path, { headers: { ...headers, range: "bytes=12000000-12000009" } });
    assert.deepEqual([part.status, part.body], [206, bytes.subarray(12_000_000, 12_000_010)]);
  });

  test("what is deleted at one replica is gone at the other", async () => {
    const image = await pushImage(replica(0), login, { repository: "team-a/gone", tag: "v1" });
    const headers = { ...(await bearer(replica(0), "team-a/gone", "pull,push,delete")), accept: manifestType };
    const path = `/v2/team-a/gone/manifests/${image.manifest}`;
    assert.equal((await replica(0).ask("DELETE", path, { headers })).status, 202);
    assert.equal((await replica(1).ask("GET", path, { headers })).status, 404);
  });
});
