import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import http, { type IncomingMessage, type RequestListener } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { challenge, type RegistryEndpoint, startRegistryEndpoint } from "../../test/fake/registry-endpoint.ts";
import { freePort } from "../dev/distribution.ts";
import { createLog } from "../log.ts";
import { createLoopbackProxy } from "./loopback-proxy.ts";
import type { OrderedRegistry } from "./protocol.ts";

const log = createLog({ level: "silent" });

function ordered(
  endpoint: RegistryEndpoint,
  loopbackPort: number,
  fields: Partial<OrderedRegistry> = {},
): OrderedRegistry {
  return {
    names: ["registry.slipway-system.svc"],
    server: endpoint.url,
    serverName: "registry.slipway-system.svc",
    ca: endpoint.ca,
    loopbackPort,
    checkLogin: null,
    ...fields,
  };
}

async function started(t: TestContext, listener: RequestListener = challenge, fields?: Partial<OrderedRegistry>) {
  const endpoint = await startRegistryEndpoint(listener);
  t.after(endpoint.close);
  const proxy = createLoopbackProxy({ log });
  t.after(() => proxy.close(0));
  const port = await freePort();
  assert.equal(await proxy.serve(ordered(endpoint, port, fields)), undefined);
  return { endpoint, proxy, port };
}

type Answer = { readonly status: number; readonly headers: IncomingMessage["headers"]; readonly body: Buffer };

function ask(port: number, path: string, options: http.RequestOptions = {}, body?: Buffer): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const request = http.request({ host: "127.0.0.1", port, path, agent: false, ...options }, async (response) => {
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
    } catch (error) {
      reject(error);
    }
  });
  request.on("error", reject);
  request.end(body);
  return promise;
}

describe("the loopback proxy", () => {
  test("keeps Host and says that the way in was HTTP, so that the realm is the loopback address", async (t) => {
    const { port } = await started(t);
    const { status, headers } = await ask(port, "/v2/", { headers: { host: `127.0.0.1:${port}` } });
    assert.equal(status, 401);
    assert.match(headers["www-authenticate"] ?? "", new RegExp(`^Bearer realm="http://127.0.0.1:${port}/auth/token"`));
  });
  test("passes the token endpoint on, with its login", async (t) => {
    const { endpoint, port } = await started(t);
    const authorization = `Basic ${Buffer.from("user:password").toString("base64")}`;
    await ask(port, "/auth/token?service=registry", { headers: { authorization } });
    assert.equal(endpoint.requests[0]?.url, "/auth/token?service=registry");
    assert.equal(endpoint.requests[0]?.headers.authorization, authorization);
  });
  for (const path of ["/", "/slipway/catalogue", "/metrics", "/v2x", "/auth/tokens", "/v3/"]) {
    test(`does not pass ${path} on`, async (t) => {
      const { endpoint, port } = await started(t);
      assert.equal((await ask(port, path)).status, 404);
      assert.deepEqual(endpoint.requests, []);
    });
  }
  test("an incoming X-Forwarded-Proto is not believed", async (t) => {
    const { endpoint, port } = await started(t);
    await ask(port, "/v2/", { headers: { "x-forwarded-proto": "https" } });
    assert.equal(endpoint.requests[0]?.headers["x-forwarded-proto"], "http");
  });
  test("headers of one hop end there", async (t) => {
    const { endpoint, port } = await started(t);
    await ask(port, "/v2/", {
      headers: { connection: "close, x-secret", "x-secret": "1", "proxy-authorization": "Basic x" },
    });
    const headers = endpoint.requests[0]?.headers ?? {};
    assert.equal(headers["x-secret"], undefined);
    assert.equal(headers["proxy-authorization"], undefined);
  });

  test("streams large bodies both ways, unchanged", async (t) => {
    const size = 24 * 1024 * 1024;
    const blob = randomBytes(size);
    const { port } = await started(t, async (request, response) => {
      const hash = createHash("sha256");
      for await (const chunk of request) hash.update(chunk);
      response.writeHead(200, { "x-received": hash.digest("hex"), "content-length": size });
      response.end(blob);
    });
    const answer = await ask(
      port,
      "/v2/a/blobs/uploads/1",
      { method: "PUT", headers: { expect: "100-continue" } },
      blob,
    );
    const digest = createHash("sha256").update(blob).digest("hex");
    assert.equal(answer.headers["x-received"], digest);
    assert.equal(createHash("sha256").update(answer.body).digest("hex"), digest);
  });
  test("the first bytes arrive before the last are sent", async (t) => {
    const held = Promise.withResolvers<void>();
    const { port } = await started(t, async (_request, response) => {
      response.writeHead(200);
      response.write("first");
      await held.promise;
      response.end("last");
    });
    const { promise, resolve } = Promise.withResolvers<IncomingMessage>();
    http.get({ host: "127.0.0.1", port, path: "/v2/a/blobs/x", agent: false }, resolve);
    const response = await promise;
    const chunks: string[] = [];
    for await (const chunk of response) {
      chunks.push(String(chunk));
      held.resolve();
    }
    assert.deepEqual(chunks, ["first", "last"]);
  });
  test("a transfer that breaks off does not look complete", async (t) => {
    const { port } = await started(t, (request, response) => {
      response.writeHead(200);
      response.write("half", () => request.socket.destroy());
    });
    await assert.rejects(ask(port, "/v2/a/blobs/x"), { code: "ECONNRESET" });
  });
  for (const [method, status] of [
    ["GET", 200],
    ["HEAD", 200],
    ["PUT", 502],
  ] as const) {
    test(`a kept connection that the registry has just closed: ${method} is answered ${status}`, async (t) => {
      const answered = new WeakSet<Socket>();
      const { endpoint, port } = await started(t, (request, response) => {
        if (answered.has(request.socket)) request.socket.destroy();
        else response.end();
        answered.add(request.socket);
      });
      assert.equal((await ask(port, "/v2/")).status, 200);
      assert.equal((await ask(port, "/v2/a/manifests/1", { method })).status, status);
      const repeated = status === 200 ? [method, method] : [method];
      assert.deepEqual(
        endpoint.requests.map((each) => each.method),
        ["GET", ...repeated],
      );
    });
  }
  for (const method of ["GET", "HEAD", "DELETE", "OPTIONS"]) {
    for (const framing of ["transfer-encoding", "content-length"] as const) {
      test(`a body of ${method} by ${framing} does not become a request of its own`, async (t) => {
        const { endpoint, port } = await started(t);
        const hidden = Buffer.from("GET /v2/hidden HTTP/1.1\r\nHost: x\r\n\r\n");
        const value = framing === "content-length" ? hidden.length : "chunked";
        assert.equal((await ask(port, "/v2/a", { method, headers: { [framing]: value } }, hidden)).status, 401);
        assert.equal((await ask(port, "/v2/b")).status, 401);
        assert.deepEqual(
          endpoint.requests.map(({ url }) => url),
          ["/v2/a", "/v2/b"],
        );
      });
    }
  }
  test("a client that goes away ends the request to the registry", async (t) => {
    const ended = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const { port } = await started(t, (request) => {
      request.socket.on("close", () => ended.resolve());
      arrived.resolve();
    });
    const request = http.get({ host: "127.0.0.1", port, path: "/v2/a/blobs/x", agent: false });
    request.on("error", () => {});
    await arrived.promise;
    request.destroy();
    await ended.promise;
  });

  test("an untrusted certificate is 502 in the words of a registry, and nothing is sent", async (t) => {
    const other = await startRegistryEndpoint(challenge, undefined, 2);
    t.after(other.close);
    const { endpoint, port } = await started(t, challenge, { ca: other.ca });
    const { status, body } = await ask(port, "/v2/", { headers: { authorization: "Basic secret" } });
    assert.equal(status, 502);
    assert.match(JSON.parse(body.toString()).errors[0].message, /cannot reach the registry \(.*CERT|SIGNATURE/);
    assert.deepEqual(endpoint.requests, []);
  });
  test("a certificate for another name is refused", async (t) => {
    const { port } = await started(t, challenge, { serverName: "registry.example.com" });
    assert.equal((await ask(port, "/v2/")).status, 502);
  });
  test("a registry that is away is 502", async (t) => {
    const { endpoint, port } = await started(t);
    await endpoint.close();
    assert.equal((await ask(port, "/v2/")).status, 502);
  });

  test("a new registry or CA is served without a pause, by the same listener", async (t) => {
    const { proxy, port } = await started(t);
    const next = await startRegistryEndpoint(challenge, undefined, 2);
    t.after(next.close);
    assert.equal(await proxy.serve(ordered(next, port)), undefined);
    assert.equal((await ask(port, "/v2/")).status, 401);
    assert.equal(next.requests.length, 1);
  });
  test("another port is another listener, and the old one ends", async (t) => {
    const { endpoint, proxy, port } = await started(t);
    const next = await freePort();
    assert.equal(await proxy.serve(ordered(endpoint, next)), undefined);
    assert.equal((await ask(next, "/v2/")).status, 401);
    await assert.rejects(ask(port, "/v2/"), { code: "ECONNREFUSED" });
  });
  test("::1 is served too where the host has it", async (t) => {
    const { port } = await started(t);
    const answer = await ask(port, "/v2/", { host: "::1" }).catch((error: NodeJS.ErrnoException) => error.code);
    if (typeof answer === "object") assert.equal(answer.status, 401);
    else assert.match(answer ?? "", /EADDRNOTAVAIL|EAFNOSUPPORT|ENETUNREACH/);
  });
  test("a taken port is told, and served once it is free", async (t) => {
    const endpoint = await startRegistryEndpoint();
    t.after(endpoint.close);
    const squatter = createServer();
    const taken = await new Promise<number>((resolve) => {
      squatter.listen(0, "127.0.0.1", () => resolve((squatter.address() as AddressInfo).port));
    });
    const proxy = createLoopbackProxy({ log });
    t.after(() => proxy.close(0));
    const failure = await proxy.serve(ordered(endpoint, taken));
    assert.equal(failure?.reason, "PortTaken");
    assert.match(failure?.message ?? "", new RegExp(`127.0.0.1 port ${taken}`));
    await new Promise((done) => squatter.close(done));
    assert.equal(await proxy.serve(ordered(endpoint, taken)), undefined);
  });
  test("what is under way ends before it closes", async (t) => {
    const held = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const { proxy, port } = await started(t, async (_request, response) => {
      arrived.resolve();
      await held.promise;
      response.end("done");
    });
    const asked = ask(port, "/v2/a/blobs/x");
    await arrived.promise;
    const closed = proxy.close(60_000);
    held.resolve();
    assert.equal((await asked).body.toString(), "done");
    await closed;
  });
});
