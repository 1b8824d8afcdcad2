import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Distribution, freePort, startDistribution } from "../../../src/dev/distribution.ts";
import { distributionConfig } from "../../../src/gateway/distribution-config.ts";
import { type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";
import { adminLogin, type Certificates, findDistribution, issueCertificates } from "./harness.ts";
import { createRegistryClient, digestOf, type RegistryClient } from "./registry-client.ts";

const program = await findDistribution();
const skip = program === undefined ? "no program `registry` (CNCF Distribution 3.1) on PATH" : false;
const repository = "team-a/killed";
const chunk = 1024 * 1024;
const bytes = randomBytes(48 * chunk);
const digest = digestOf(bytes);

describe("killed in the middle", { skip }, () => {
  let folder: string;
  let certificates: Certificates;
  let ports: { readonly gateway: number; readonly distribution: number };
  let gateway: GatewayProcess;
  let distribution: Distribution;
  let client: RegistryClient;

  const startStorage = async () => {
    const configFile = join(folder, "config.yml");
    distribution = await startDistribution({ program: program ?? "", configFile, port: ports.distribution });
  };
  const startDoor = async () => {
    const distributionUrl = `http://127.0.0.1:${ports.distribution}`;
    gateway = await startGatewayProcess({ distributionUrl, certificates, port: ports.gateway });
    client = createRegistryClient(gateway);
  };
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slipway-killed-"));
    certificates = await issueCertificates();
    ports = { gateway: await freePort(), distribution: await freePort() };
    const tokenAuthorityPath = join(folder, "token-ca.crt");
    await writeFile(tokenAuthorityPath, certificates.tokenCa);
    const storage = { kind: "filesystem", rootDirectory: join(folder, "data") } as const;
    await writeFile(
      join(folder, "config.yml"),
      distributionConfig({ storage, tokenAuthorityPath, httpSecret: "test" }),
    );
    await startStorage();
    await startDoor();
  });
  after(async () => {
    client.close();
    await gateway.kill();
    await distribution.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const bearer = async () => ({
    authorization: `Bearer ${await client.token(adminLogin, `repository:${repository}:pull,push,delete`)}`,
  });
  const send = (method: string, path: string, headers: Record<string, string | number>) => {
    const { hostname, port } = new URL(gateway.url);
    return request({ hostname, port, method, path, headers, ca: gateway.ca, agent: false });
  };
  const victims = [
    {
      name: "Distribution",
      kill: async () => {
        process.kill(distribution.program.pid, "SIGKILL");
        await distribution.program.ended;
      },
      restart: () => startStorage(),
    },
    {
      name: "the gateway",
      kill: async () => {
        client.close();
        await gateway.kill();
      },
      restart: () => startDoor(),
    },
  ];

  /** The whole upload in one request. @returns the status; 0: the connection broke */
  async function push(afterHalf: () => Promise<void>): Promise<number> {
    const headers = { ...(await bearer()), "content-type": "application/octet-stream", "content-length": bytes.length };
    const begun = await client.ask("POST", `/v2/${repository}/blobs/uploads/`, { headers: await bearer() });
    const location = new URL(begun.headers.location ?? assert.fail(`${begun.status} ${begun.body}`));
    location.searchParams.set("digest", digest);
    const sent = send("PUT", `${location.pathname}${location.search}`, headers);
    const { promise, resolve } = Promise.withResolvers<number>();
    sent.once("response", (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    sent.once("error", () => resolve(0));
    await new Promise<void>((done) => sent.write(bytes.subarray(0, bytes.length / 2), () => done()));
    await afterHalf();
    sent.end(bytes.subarray(bytes.length / 2));
    return promise;
  }

  /** Reads from `start` on. @returns what came, and whether the body ended as it should */
  async function pull(start: number, atFirst: () => Promise<void>): Promise<{ got: Buffer; whole: boolean }> {
    const headers = { ...(await bearer()), ...(start === 0 ? {} : { range: `bytes=${start}-` }) };
    const asked = send("GET", `/v2/${repository}/blobs/${digest}`, headers);
    asked.end();
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      asked.once("response", resolve).once("error", reject);
    });
    assert.equal(answer.statusCode, start === 0 ? 200 : 206);
    const chunks: Buffer[] = [];
    try {
      for await (const part of answer as AsyncIterable<Buffer>) {
        if (chunks.push(part) === 1) await atFirst();
      }
      return { got: Buffer.concat(chunks), whole: true };
    } catch {
      // Cut off: what came so far is what a client keeps.
      return { got: Buffer.concat(chunks), whole: false };
    }
  }
  const nothing = async () => undefined;

  for (const { name, kill, restart } of victims) {
    test(`${name}, while a layer is pushed: the client is told, nothing half is kept, a second try succeeds`, async () => {
      const status = await push(kill);
      assert.ok(status === 0 || status >= 500, `${status}`);
      await restart();
      const path = `/v2/${repository}/blobs/${digest}`;
      assert.equal((await client.ask("HEAD", path, { headers: await bearer() })).status, 404);
      assert.equal(await push(nothing), 201);
      const { got, whole } = await pull(0, nothing);
      assert.deepEqual([whole, digestOf(got)], [true, digest]);
    });

    test(`${name}, while a layer is pulled: the client sees that it broke off, and goes on where it was`, async () => {
      const first = await pull(0, kill);
      assert.equal(first.whole, false);
      assert.ok(first.got.length < bytes.length);
      await restart();
      const rest = await pull(first.got.length, nothing);
      assert.equal(digestOf(Buffer.concat([first.got, rest.got])), digest);
      const deleted = await client.ask("DELETE", `/v2/${repository}/blobs/${digest}`, { headers: await bearer() });
      assert.equal(deleted.status, 202);
    });
  }
});
