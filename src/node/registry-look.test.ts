import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { buildContractImage } from "./contract-image.ts";
import { lookAtProbe } from "./registry-look.ts";

const login = { username: "pull.slipway-check.1", password: "secret" };
const basic = `Basic ${Buffer.from("pull.slipway-check.1:secret").toString("base64")}`;
const image = buildContractImage("probe");
const never = new AbortController().signal;

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

type Options = {
  readonly refuses?: boolean;
  readonly missing?: boolean;
  readonly blob?: number;
  readonly padding?: number;
};

/** A registry with a token endpoint, whose realm names a host that nobody may be sent to. */
function registry(seen: string[], options: Options = {}): RequestListener {
  return (request, response) => {
    const { pathname } = new URL(request.url ?? "", "http://registry");
    seen.push(pathname);
    const { status, body = Buffer.alloc(0) } = answerTo(pathname, request.headers.authorization, options);
    if (status === 401) response.setHeader("www-authenticate", challenge);
    response.writeHead(status).end(body);
  };
}

const challenge = 'Bearer realm="https://elsewhere.example.com/auth/token",service="slipway"';

function answerTo(
  pathname: string,
  authorization: string | undefined,
  { refuses, missing, blob = 200, padding }: Options,
): { readonly status: number; readonly body?: Buffer } {
  if (pathname === "/auth/token") {
    const isRight = authorization === basic && refuses !== true;
    return isRight ? { status: 200, body: Buffer.from('{"token":"good"}') } : { status: 401 };
  }
  if (authorization !== "Bearer good") return { status: 401 };
  if (!pathname.includes("/manifests/")) return { status: blob, body: Buffer.alloc(padding ?? 10) };
  return missing === true ? { status: 404 } : { status: 200, body: image.manifest.bytes };
}

describe("a look at the probe image", () => {
  test("pulls the manifest and every blob, and sends the login to no other host", async (t) => {
    const seen: string[] = [];
    const url = await serve(t, registry(seen));
    const outcome = await lookAtProbe({ url, ca: null, kind: "hosted" }, login, never);
    assert.equal(outcome.kind, "pulled");
    assert.ok(outcome.kind === "pulled" && outcome.bytes < 1_000_000);
    const manifest = "/v2/slipway-check/probe/manifests/latest";
    const blobs = image.blobs.map(({ digest }) => `/v2/slipway-check/probe/blobs/${digest}`);
    assert.deepEqual(seen, [manifest, "/auth/token", manifest, ...blobs]);
  });
  const failures: readonly { readonly name: string; readonly options: Options; readonly reason: string }[] = [
    { name: "a refused login", options: { refuses: true }, reason: "LoginRefused" },
    { name: "a registry that fails", options: { blob: 503 }, reason: "Unavailable" },
    { name: "a blob that is lost", options: { blob: 404 }, reason: "NotARegistry" },
    { name: "more than half a megabyte", options: { padding: 600_000 }, reason: "NotARegistry" },
  ];
  for (const { name, options, reason } of failures) {
    test(`fails on ${name}`, async (t) => {
      const url = await serve(t, registry([], options));
      const outcome = await lookAtProbe({ url, ca: null, kind: "hosted" }, login, never);
      assert.equal(outcome.kind === "failed" ? outcome.failure.reason : outcome.kind, reason);
      assert.ok(!JSON.stringify(outcome).includes("secret"));
    });
  }
  test("does not fail because the image is not there yet", async (t) => {
    const url = await serve(t, registry([], { missing: true }));
    assert.deepEqual(await lookAtProbe({ url, ca: null, kind: "hosted" }, login, never), { kind: "absent" });
  });
  test("says that nothing answers", async (t) => {
    const url = await serve(t, (request) => void request.socket.destroy());
    const outcome = await lookAtProbe({ url, ca: null, kind: "hosted" }, login, never);
    assert.equal(outcome.kind === "failed" ? outcome.failure.reason : "", "Unreachable");
  });
});
