import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import type { Login } from "../../../src/credential/login.ts";
import type { Cluster } from "../cluster.ts";
import { type KindTest, kindTest } from "../harness.ts";
import { askAs, type DirectClient, openNodePort, readAdminLogin } from "../registry/direct-client.ts";
import { mergeSpec } from "../registry/local-registry.ts";
import { findProcess, type RegistryContainer, registryRolledOut } from "../registry/registry-pod.ts";

const chunkBytes = 1024 * 1024;
const blobBytes = 100 * chunkBytes;
const pushesAtOnce = 10;

/** 100 MB that no other push has, made while they are sent. */
function makeBlob() {
  const chunk = randomBytes(chunkBytes);
  const chunks = () => Array.from({ length: blobBytes / chunkBytes }, () => chunk);
  const hash = createHash("sha256");
  for (const each of chunks()) hash.update(each);
  return { digest: `sha256:${hash.digest("hex")}`, stream: () => Readable.from(chunks()) };
}

async function pushBlob(client: DirectClient, login: Login, repository: string): Promise<string> {
  const { digest, stream } = makeBlob();
  const authorization = `Bearer ${await client.token(login, `repository:${repository}:pull,push`)}`;
  const begun = await client.ask("POST", `/v2/${repository}/blobs/uploads/`, { headers: { authorization } });
  const location = new URL(begun.headers.location ?? "", client.url);
  location.searchParams.set("digest", digest);
  const headers = { authorization, "content-type": "application/octet-stream", "content-length": blobBytes };
  const path = `${location.pathname}${location.search}`;
  const { status, body } = await client.ask("PUT", path, { headers, body: stream() });
  assert.equal(status, 201, body.toString());
  return digest;
}

/** The most memory that the first process of a container ever held (VmHWM), MB. */
async function peakMegabytes(cluster: Cluster, container: RegistryContainer): Promise<number> {
  const { node, pid } = await findProcess(cluster, container);
  const status = await cluster.onNode(node, ["cat", `/proc/${pid}/status`]);
  return Math.round((Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024) / 1e6);
}

export function proveMemory(open: () => Cluster): void {
  kindTest("256 MB for Distribution on a claim suffice for ten pushes of 100 MB at once", pushTenAtOnce, open);
}

async function pushTenAtOnce(test: KindTest): Promise<void> {
  const { cluster, t } = test;
  const client = await openNodePort(t, cluster);
  const login = await readAdminLogin(cluster);
  await mergeSpec(cluster, { resources: { limits: { memory: "256M" } } });
  await registryRolledOut(cluster);
  const containers = ["registry", "gateway"] as const;
  const ids = () => Promise.all(containers.map(async (name) => (await findProcess(cluster, name)).containerId));
  const before = await ids();
  const repositories = Array.from({ length: pushesAtOnce }, (_, index) => `memory-${test.word()}/app-${index}`);
  const digests = await Promise.all(repositories.map((repository) => pushBlob(client, login, repository)));
  assert.deepEqual(await ids(), before, "a container was restarted");
  for (const [index, repository] of repositories.entries()) {
    const path = `/v2/${repository}/blobs/${digests[index]}`;
    const { status, headers } = await askAs(client, login, `repository:${repository}:pull`, { method: "HEAD", path });
    assert.deepEqual([status, headers["content-length"]], [200, String(blobBytes)]);
  }
  for (const container of containers) {
    const peak = await peakMegabytes(cluster, container);
    t.diagnostic(`${container}: ${peak} MB at most`);
    assert.ok(peak < 256);
  }
}
