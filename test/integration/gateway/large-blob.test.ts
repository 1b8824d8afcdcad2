import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { after, before, describe, test } from "node:test";
import { findDistribution, issueCertificates, startGateway, startStore, type TestGateway } from "./harness.ts";
import { createRegistryClient, pushLogin, type RegistryClient } from "./registry-client.ts";

const program = await findDistribution();
const skip = program === undefined ? "no program `registry` (CNCF Distribution 3.1) on PATH" : false;
const sizeBytes = 200 * 1024 * 1024;
/** Client and gateway share this process: 70 to 95 MiB are measured. Buffering the blob once would be 200. */
const growthLimitBytes = 140 * 1024 * 1024;

describe("a blob of 200 MiB", { skip }, () => {
  let store: Awaited<ReturnType<typeof startStore>>;
  let gateway: TestGateway;
  let client: RegistryClient;
  before(async () => {
    const certificates = await issueCertificates();
    store = await startStore(program ?? "", certificates.tokenCa);
    gateway = await startGateway({ distributionUrl: store.url, certificates });
    client = createRegistryClient(gateway);
  });
  after(async () => {
    client.close();
    await gateway.stop();
    await store.stop();
  });

  test("goes up and down in a memory that does not grow with it", async () => {
    const chunk = Buffer.alloc(256 * 1024, "slipway");
    const hash = createHash("sha256");
    let peakBytes = 0;
    const watch = () => {
      const { rss } = process.memoryUsage();
      peakBytes = Math.max(peakBytes, rss);
    };
    function* content() {
      for (let sent = 0; sent < sizeBytes; sent += chunk.length) {
        hash.update(chunk);
        watch();
        yield chunk;
      }
    }
    const authorization = `Bearer ${await client.token(pushLogin("team-a", "uid-a"), "repository:team-a/big:pull,push")}`;
    const begun = await client.ask("POST", "/v2/team-a/big/blobs/uploads/", { headers: { authorization } });
    const startBytes = process.memoryUsage().rss;
    const location = new URL(begun.headers.location ?? "");
    const sent = await client.ask("PATCH", `${location.pathname}${location.search}`, {
      headers: { authorization, "content-type": "application/octet-stream" },
      body: Readable.from(content()),
    });
    assert.equal(sent.status, 202);
    const digest = `sha256:${hash.digest("hex")}`;
    const last = new URL(sent.headers.location ?? "");
    last.searchParams.set("digest", digest);
    const put = await client.ask("PUT", `${last.pathname}${last.search}`, { headers: { authorization } });
    assert.equal(put.status, 201);
    const received = await download(`/v2/team-a/big/blobs/${digest}`, authorization, watch);
    assert.deepEqual(received, { digest, bytes: sizeBytes });
    const grownBytes = peakBytes - startBytes;
    assert.ok(grownBytes < growthLimitBytes, `memory grew by ${Math.round(grownBytes / 1024 / 1024)} MiB`);
  });

  test("that breaks off is not committed as if it had ended", async () => {
    const authorization = `Bearer ${await client.token(pushLogin("team-a", "uid-a"), "repository:team-a/cut:pull,push")}`;
    const begun = await client.ask("POST", "/v2/team-a/cut/blobs/uploads/", { headers: { authorization } });
    const location = new URL(begun.headers.location ?? "");
    const digest = `sha256:${createHash("sha256").update("whole").digest("hex")}`;
    location.searchParams.set("digest", digest);
    const { hostname, port } = new URL(gateway.url);
    const path = `${location.pathname}${location.search}`;
    const headers = { authorization, "content-length": 1_000_000 };
    const cut = request({ hostname, port, path, method: "PUT", headers, ca: gateway.ca, agent: false });
    const ended = new Promise((resolve) => cut.once("error", resolve).once("close", resolve));
    cut.write("whole", () => cut.destroy());
    await ended;
    const head = await client.ask("HEAD", `/v2/team-a/cut/blobs/${digest}`, { headers: { authorization } });
    assert.equal(head.status, 404);
  });

  async function download(path: string, authorization: string, watch: () => void) {
    const { hostname, port } = new URL(gateway.url);
    const hash = createHash("sha256");
    let bytes = 0;
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const options = { hostname, port, path, headers: { authorization }, ca: gateway.ca, agent: false };
      request(options, resolve).once("error", reject).end();
    });
    await pipeline(answer, async (chunks: AsyncIterable<Buffer>) => {
      for await (const each of chunks) {
        hash.update(each);
        bytes += each.length;
        watch();
      }
    });
    return { digest: `sha256:${hash.digest("hex")}`, bytes };
  }
});
