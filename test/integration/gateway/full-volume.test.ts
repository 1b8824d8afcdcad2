import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, mkdir, mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Distribution, startDistribution } from "../../../src/dev/distribution.ts";
import { distributionConfig } from "../../../src/gateway/distribution-config.ts";
import { adminLogin, findDistribution, issueCertificates, startGateway, type TestGateway } from "./harness.ts";
import {
  type Answer,
  createRegistryClient,
  digestOf,
  manifestType,
  pushImage,
  type RegistryClient,
} from "./registry-client.ts";

const program = await findDistribution();
const skip = missing();
const repository = "team-a/full";
const mebibyte = 1024 * 1024;

/** A small volume of our own needs no root where the kernel lets users have namespaces. */
function missing(): string | false {
  if (program === undefined) return "no program `registry` (CNCF Distribution 3.1) on PATH";
  const mount = "mount -t tmpfs -o size=1m tmpfs /mnt";
  const { status } = spawnSync("unshare", ["--user", "--map-root-user", "--mount", "sh", "-c", mount]);
  return status === 0 ? false : "this kernel gives no mount namespaces to users (unshare --user --mount)";
}

describe("a volume that is full", { skip }, () => {
  let folder: string;
  let distribution: Distribution;
  let gateway: TestGateway;
  let client: RegistryClient;
  /** The volume, as seen from here. */
  let volume: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slipway-full-"));
    const data = join(folder, "data");
    await mkdir(data);
    const certificates = await issueCertificates();
    const tokenAuthorityPath = join(folder, "token-ca.crt");
    await writeFile(tokenAuthorityPath, certificates.tokenCa);
    const configFile = join(folder, "config.yml");
    const storage = { kind: "filesystem", rootDirectory: data } as const;
    await writeFile(configFile, distributionConfig({ storage, tokenAuthorityPath, httpSecret: "test" }));
    const onVolume = join(folder, "registry");
    const mounted = `/bin/mount -t tmpfs -o size=24m tmpfs ${data} && exec ${program} "$@"`;
    await writeFile(
      onVolume,
      `#!/bin/sh\nexec /usr/bin/unshare --user --map-root-user --mount /bin/sh -c '${mounted}' registry "$@"\n`,
    );
    await chmod(onVolume, 0o755);
    distribution = await startDistribution({ program: onVolume, configFile });
    volume = `/proc/${distribution.program.pid}/root${data}`;
    gateway = await startGateway({ distributionUrl: distribution.url, certificates });
    client = createRegistryClient(gateway);
  });
  after(async () => {
    client?.close();
    await gateway?.stop();
    await distribution?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const bearer = async () => ({
    authorization: `Bearer ${await client.token(adminLogin, `repository:${repository}:pull,push,delete`)}`,
  });

  async function begin(): Promise<string> {
    const begun = await client.ask("POST", `/v2/${repository}/blobs/uploads/`, { headers: await bearer() });
    const location = new URL(begun.headers.location ?? assert.fail(`${begun.status} ${begun.body}`));
    return `${location.pathname}${location.search}`;
  }
  async function send(method: "PATCH" | "PUT", layer: Buffer): Promise<Answer> {
    const path = `${await begin()}${method === "PUT" ? `&digest=${digestOf(layer)}` : ""}`;
    const headers = { ...(await bearer()), "content-type": "application/octet-stream" };
    return await client.ask(method, path, { headers, body: layer });
  }
  /** Takes what is free but `left` bytes; the volume gives whole pages. */
  async function fill(left: number): Promise<void> {
    const { bavail, bsize } = await statfs(volume);
    await writeFile(join(volume, "ballast"), Buffer.alloc(bavail * bsize - left));
  }
  const free = () => rm(join(volume, "ballast"), { force: true });
  function assertFull(answer: Answer): void {
    assert.equal(answer.status, 507, answer.body.toString());
    const { errors } = JSON.parse(answer.body.toString()) as { errors: { code: string; message: string }[] };
    assert.equal(errors[0]?.code, "UNAVAILABLE");
    assert.match(errors[0]?.message ?? "", /storage is full/);
    assert.doesNotMatch(answer.body.toString(), /_uploads|\/docker\//, "a path of Distribution's own");
  }

  const image = { repository, tag: "1", content: "a layer that is there" };
  const layer = randomBytes(4 * mebibyte);

  test("refuses a layer that does not fit with 507 and says why, whichever way it comes; nothing half is there", async () => {
    assert.equal((await pushImage(client, adminLogin, image)).status, 201);
    for (const method of ["PATCH", "PUT"] as const) {
      await fill(2 * mebibyte);
      assertFull(await send(method, layer));
      await free();
      const head = await client.ask("HEAD", `/v2/${repository}/blobs/${digestOf(layer)}`, { headers: await bearer() });
      assert.equal(head.status, 404);
    }
  });

  test("refuses the start of an upload and a manifest alike, while what is there is pulled and its tag stays", async () => {
    const path = `/v2/${repository}/manifests`;
    const get = async () =>
      await client.ask("GET", `${path}/1`, { headers: { ...(await bearer()), accept: manifestType } });
    const before = await get();
    assert.equal(before.status, 200);
    await fill(0);
    assertFull(await client.ask("POST", `/v2/${repository}/blobs/uploads/`, { headers: await bearer() }));
    const manifest = JSON.stringify({ ...JSON.parse(before.body.toString()), annotations: { again: "yes" } });
    const headers = { ...(await bearer()), "content-type": String(before.headers["content-type"]) };
    assertFull(await client.ask("PUT", `${path}/1`, { headers, body: manifest }));
    const after = await get();
    assert.deepEqual([after.status, after.body], [200, before.body]);
    const blob = await client.ask("GET", `/v2/${repository}/blobs/${digestOf(image.content)}`, {
      headers: await bearer(),
    });
    assert.deepEqual([blob.status, blob.body.toString()], [200, image.content]);
  });

  test("takes pushes again as soon as there is room", async () => {
    await free();
    assert.equal((await send("PUT", layer)).status, 201);
    const pulled = await client.ask("GET", `/v2/${repository}/blobs/${digestOf(layer)}`, { headers: await bearer() });
    assert.equal(digestOf(pulled.body), digestOf(layer));
    assert.equal((await pushImage(client, adminLogin, { ...image, tag: "2", content: "another layer" })).status, 201);
  });
});
