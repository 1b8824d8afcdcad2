import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { type BodyLimits, defaultBodyLimits } from "../../../src/gateway/body-limits.ts";
import { adminLogin, type Certificates, issueCertificates, startGateway, type TestGateway } from "./harness.ts";
import { startRecorder } from "./recorder.ts";
import { createRegistryClient, manifestType } from "./registry-client.ts";

const form = { "content-type": "application/x-www-form-urlencoded" };
const login = new URLSearchParams({ grant_type: "password", ...adminLogin }).toString();
const manifest = '{"schemaVersion":2,"manifests":[]}';

describe("bodies that do not come, or never end", () => {
  let certificates: Certificates;
  let recorder: Awaited<ReturnType<typeof startRecorder>>;
  before(async () => {
    certificates = await issueCertificates();
    recorder = await startRecorder();
  });
  after(() => recorder.stop());

  /** A gateway with these limits; all others are as ever, too long for a test to wait for. */
  async function start(t: { after(end: () => Promise<void>): void }, limits: Partial<BodyLimits>) {
    const needs = { bodyLimits: { ...defaultBodyLimits, ...limits } };
    const gateway = await startGateway({ distributionUrl: recorder.url, certificates, needs });
    t.after(() => gateway.stop());
    return gateway;
  }
  async function bearer(gateway: TestGateway): Promise<string> {
    const client = createRegistryClient(gateway);
    const token = await client.token(adminLogin, "repository:team-a/app:pull,push");
    client.close();
    return `Bearer ${token}`;
  }
  /** Begins a request over a connection that the client would keep; its body is the caller's. */
  function begin(gateway: TestGateway, method: string, path: string, headers: Record<string, string>) {
    const { hostname, port } = new URL(gateway.url);
    const agent = new Agent({ keepAlive: true, maxFreeSockets: 0 });
    const sent = request({ hostname, port, method, path, headers, ca: gateway.ca, agent });
    // It is cut in the middle of its body: that is what is waited for.
    sent.on("error", () => undefined);
    return sent;
  }
  async function answerOf(sent: ReturnType<typeof begin>) {
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    const text = Buffer.concat(await answer.toArray()).toString();
    const { errors = [] } = JSON.parse(text) as { errors?: { code: string; message: string }[] };
    return { status: answer.statusCode, code: errors[0]?.code, message: errors[0]?.message };
  }
  /** One byte at each turn of the event loop, without an end. */
  const trickle = () =>
    Readable.from(
      (async function* () {
        for (;;) yield await new Promise<Buffer>((resolve) => setImmediate(resolve, Buffer.from(" ")));
      })(),
    );
  const late = { status: 408, code: "UNSUPPORTED", message: "the body did not come in time" };

  test("a login whose form does not end is 408", async (t) => {
    const gateway = await start(t, { loginMs: 50 });
    const sent = begin(gateway, "POST", "/auth/token", { ...form, "content-length": String(login.length) });
    sent.write(login.slice(0, -1));
    assert.deepEqual(await answerOf(sent), late);
    sent.destroy();
  });

  test("a login whose form comes byte by byte is 408: each byte is no new beginning", async (t) => {
    const gateway = await start(t, { loginMs: 50 });
    const sent = begin(gateway, "POST", "/auth/token", form);
    const body = trickle();
    body.pipe(sent);
    assert.deepEqual(await answerOf(sent), late);
    body.destroy();
    sent.destroy();
  });

  test("a manifest that does not end is 408, and Distribution never sees it", async (t) => {
    const gateway = await start(t, { manifestMs: 50 });
    const authorization = await bearer(gateway);
    recorder.requests.length = 0;
    const headers = { authorization, "content-type": manifestType };
    const sent = begin(gateway, "PUT", "/v2/team-a/app/manifests/1", headers);
    sent.write(manifest);
    assert.deepEqual(await answerOf(sent), late);
    sent.destroy();
    assert.deepEqual(recorder.requests, []);
  });

  test("a login and a manifest that come in two pieces are taken", async (t) => {
    const gateway = await start(t, {});
    const authorization = await bearer(gateway);
    for (const [method, path, headers, text] of [
      ["POST", "/auth/token", form, login],
      ["PUT", "/v2/team-a/app/manifests/1", { authorization, "content-type": manifestType }, manifest],
    ] as const) {
      const sent = begin(gateway, method, path, headers);
      await new Promise((resolve) => sent.write(text.slice(0, 5), resolve));
      sent.end(text.slice(5));
      assert.equal((await answerOf(sent)).status, 200, path);
    }
  });

  for (const { name, path, method, headers, status } of [
    { name: "late", method: "POST", path: "/auth/token", headers: form, status: 408 },
    { name: "refused at its head", method: "POST", path: "/auth/token", headers: {}, status: 415 },
    { name: "not asked for", method: "GET", path: "/auth/token", headers: {}, status: 401 },
    {
      name: "of an upload without a login",
      method: "PATCH",
      path: "/v2/a/b/blobs/uploads/1",
      headers: {},
      status: 401,
    },
    { name: "of a path that there is not", method: "POST", path: "/debug/vars", headers: {}, status: 404 },
  ]) {
    test(`a body that is ${name} is answered ${status}, and cut when it goes on for too long after that`, async (t) => {
      const gateway = await start(t, { loginMs: 50, restMs: 1_000 });
      const sent = begin(gateway, method, path, { ...headers, "transfer-encoding": "chunked" });
      const cut = new Promise((resolve) => sent.once("close", resolve));
      const body = trickle();
      body.pipe(sent);
      assert.equal((await answerOf(sent)).status, status);
      await cut;
      body.destroy();
    });
  }
});
