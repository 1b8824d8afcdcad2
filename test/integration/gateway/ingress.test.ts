import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { freePort } from "../../../src/dev/distribution.ts";
import { type RunningProgram, startProgram } from "../../../src/dev/process.ts";
import { certificateNames } from "../../../src/tls/certificate.ts";
import { issueAuthority, issueLeaf } from "../../../src/tls/issue.ts";
import { findDistribution, issueCertificates, startGateway, startStore, type TestGateway } from "./harness.ts";
import { findProgram } from "./program.ts";
import { createRegistryClient, digestOf, pushImage, pushLogin, type RegistryClient } from "./registry-client.ts";

const [program, nginx] = [await findDistribution(), await findProgram("nginx")];
const missing = program === undefined ? "registry (CNCF Distribution 3.1)" : nginx === undefined ? "nginx" : undefined;
const skip = missing === undefined ? false : `no program ${missing} on PATH`;
const host = "registry.example.com";

/** What ingress-nginx makes of our Ingress object and its annotations, see src/registry/exposure.ts. */
function configuration(folder: string, port: number, gatewayUrl: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr warn;
events {}
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${folder}/temporary;`).join("\n  ")}
  server {
    listen 127.0.0.1:${port} ssl;
    server_name ${host};
    ssl_certificate ${folder}/tls.crt;
    ssl_certificate_key ${folder}/tls.key;
    client_max_body_size 0;
    location / {
      proxy_pass ${gatewayUrl};
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
    }
  }
}
`;
}

describe("a real nginx in front of the gateway, as an Ingress has it", { skip }, () => {
  let folder: string;
  let store: Awaited<ReturnType<typeof startStore>>;
  let gateway: TestGateway;
  let proxy: RunningProgram;
  let client: RegistryClient;

  before(async () => {
    const certificates = await issueCertificates();
    store = await startStore(program ?? "", certificates.tokenCa);
    gateway = await startGateway({ distributionUrl: store.url, certificates });
    folder = await mkdtemp(join(tmpdir(), "slipway-nginx-"));
    const nowMs = Date.now();
    const authority = await issueAuthority({ commonName: "ingress CA", nowMs });
    const leaf = await issueLeaf({ authority, commonName: host, names: certificateNames([host, "127.0.0.1"]), nowMs });
    const port = await freePort();
    await writeFile(join(folder, "tls.crt"), leaf.certificate);
    await writeFile(join(folder, "tls.key"), leaf.key, { mode: 0o600 });
    await writeFile(join(folder, "nginx.conf"), configuration(folder, port, gateway.url));
    client = createRegistryClient({ url: `https://127.0.0.1:${port}`, ca: authority.certificate });
    proxy = await startProgram({
      command: nginx ?? "",
      args: ["-c", join(folder, "nginx.conf"), "-p", folder, "-e", "stderr"],
      env: {},
      isReady: () =>
        client.ask("GET", "/v2/").then(
          ({ status }) => status === 401,
          () => false,
        ),
      timeoutMs: 60_000,
      clock: systemClock,
    });
  });
  after(async () => {
    client.close();
    await proxy.stop();
    await gateway.stop();
    await store.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const headersFor = async (repository: string) => ({
    host,
    authorization: `Bearer ${await client.token(pushLogin("team-a", "uid-a"), `repository:${repository}:pull,push`)}`,
  });

  test("the realm and every Location name the host that the client used", async () => {
    const { headers } = await client.ask("GET", "/v2/", { headers: { host } });
    assert.match(headers["www-authenticate"] ?? "", new RegExp(`realm="https://${host}/auth/token"`));
    const begun = await client.ask("POST", "/v2/team-a/app/blobs/uploads/", {
      headers: await headersFor("team-a/app"),
    });
    assert.equal(new URL(begun.headers.location ?? "").origin, `https://${host}`);
  });

  test("an image is pushed through it", async () => {
    const image = await pushImage(client, pushLogin("team-a", "uid-a"), { repository: "team-a/app", tag: "v1" });
    assert.equal(image.status, 201);
  });

  test("a large body that is refused is refused in the gateway's words", async () => {
    // To the gateway nginx says Connection: close. The client's own connection it closes, too, once it has answered
    // before the end of a body, whatever its answer said of keep-alive: a kept one would race against that.
    const connection = "close";
    const body = Buffer.alloc(64 * 1024 * 1024);
    for (const [method, path, headers, status] of [
      ["PATCH", "/v2/team-a/app/blobs/uploads/1", {}, 401],
      ["PUT", "/v2/team-a/app/manifests/1", await headersFor("team-a/app"), 413],
      ["POST", "/auth/token", { "content-type": "application/x-www-form-urlencoded" }, 413],
    ] as const) {
      const answer = await client.ask(method, path, { headers: { host, connection, ...headers }, body });
      const { errors } = JSON.parse(answer.body.toString()) as { errors: readonly unknown[] };
      assert.deepEqual([answer.status, errors.length], [status, 1], path);
    }
  });

  test("a layer of 64 MiB of unknown length goes up and down, and none of it through a file of the proxy", async () => {
    const chunk = Buffer.alloc(1024 * 1024, "layer");
    const bytes = Buffer.concat(Array<Buffer>(64).fill(chunk));
    const headers = await headersFor("team-a/large");
    const begun = await client.ask("POST", "/v2/team-a/large/blobs/uploads/", { headers });
    const location = new URL(begun.headers.location ?? "");
    const sent = await client.ask("PATCH", `${location.pathname}${location.search}`, {
      headers: { ...headers, "content-type": "application/octet-stream" },
      body: Readable.from(Array<Buffer>(64).fill(chunk)),
    });
    assert.equal(sent.status, 202);
    const last = new URL(sent.headers.location ?? "");
    last.searchParams.set("digest", digestOf(bytes));
    assert.equal((await client.ask("PUT", `${last.pathname}${last.search}`, { headers })).status, 201);
    const blob = await client.ask("GET", `/v2/team-a/large/blobs/${digestOf(bytes)}`, { headers });
    assert.equal(digestOf(blob.body), digestOf(bytes));
    assert.deepEqual(await readdir(join(folder, "temporary")), []);
  });
});
