import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import { after, before, describe, test } from "node:test";
import { type AdmissionEnvironment, startAdmissionEnvironment } from "./environment.ts";

let world: AdmissionEnvironment;
let agent: Agent;
before(async () => {
  world = await startAdmissionEnvironment();
  await world.namespace("posted");
  agent = new Agent({ keepAlive: true, ca: await readFile(world.file.webhook.caFile, "utf8") });
});
after(async () => {
  agent.destroy();
  const faults = await world.faults();
  await world.stop();
  assert.deepEqual(faults, { matchConditions: 0, internal: 0 });
});

type Answer = { readonly status: number; readonly body: string; readonly headers: Readonly<Record<string, unknown>> };
type Sent = {
  readonly method?: string;
  readonly body?: string | Buffer;
  readonly contentType?: string | null;
  readonly path?: string;
  readonly chunked?: boolean;
};

function send({ method = "POST", body = "", contentType, path = "", chunked = false }: Sent): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const type = contentType === undefined ? "application/json" : contentType;
  const headers = {
    ...(type === null ? {} : { "content-type": type }),
    ...(chunked ? { "transfer-encoding": "chunked" } : { "content-length": Buffer.byteLength(body) }),
  };
  const exchange = request(`${world.file.webhook.url}${path}`, { method, agent, headers }, (response) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => chunks.push(chunk));
    response.once("error", reject);
    response.once("end", () => {
      const { statusCode = 0, headers: got } = response;
      resolve({ status: statusCode, body: Buffer.concat(chunks).toString("utf8"), headers: got });
    });
  });
  exchange.once("error", reject);
  exchange.end(body);
  return promise;
}

function review(changes: Readonly<Record<string, unknown>> = {}, outer: Readonly<Record<string, unknown>> = {}) {
  return JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: "705ab4f5-6393-11e8-b7cc-42010a800002",
      resource: { group: "", version: "v1", resource: "pods" },
      operation: "CREATE",
      namespace: "posted",
      dryRun: true,
      object: { metadata: { name: "a" }, spec: { containers: [{ name: "a", image: "nginx:1" }] } },
      ...changes,
    },
    ...outer,
  });
}

const refusals: readonly { name: string; sent: Sent; status: number; says: RegExp }[] = [
  { name: "an empty body", sent: {}, status: 400, says: /body is empty/ },
  { name: "no JSON", sent: { body: "{" }, status: 400, says: /not JSON/ },
  {
    name: "bytes that are no text",
    sent: { body: Buffer.from([0xff, 0xfe, 0x00, 0x80]) },
    status: 400,
    says: /not JSON/,
  },
  { name: "another kind of object", sent: { body: '{"kind":"Pod"}' }, status: 400, says: /kind is "Pod"/ },
  { name: "an array", sent: { body: "[]" }, status: 400, says: /not an object/ },
  {
    name: "v1beta1",
    sent: { body: review({}, { apiVersion: "admission.k8s.io/v1beta1" }) },
    status: 400,
    says: /"admission\.k8s\.io\/v1beta1"; only admission\.k8s\.io\/v1 is understood/,
  },
  {
    name: "a review without a request",
    sent: { body: review({}, { request: null }) },
    status: 400,
    says: /no request/,
  },
  { name: "a request without a uid", sent: { body: review({ uid: 7 }) }, status: 400, says: /uid/ },
  {
    name: "another content type",
    sent: { body: review(), contentType: "text/plain" },
    status: 415,
    says: /application\/json/,
  },
  { name: "no content type", sent: { body: review(), contentType: null }, status: 415, says: /application\/json/ },
  { name: "GET", sent: { method: "GET" }, status: 405, says: /POST/ },
  { name: "PUT", sent: { method: "PUT", body: review() }, status: 405, says: /POST/ },
  {
    name: "more than 8 MiB, announced",
    sent: { body: Buffer.alloc(8 * 1024 * 1024 + 1, 32) },
    status: 413,
    says: /larger than 8388608 bytes/,
  },
  {
    name: "more than 8 MiB, not announced",
    sent: { body: Buffer.alloc(8 * 1024 * 1024 + 1, 32), chunked: true },
    status: 413,
    says: /larger than 8388608 bytes/,
  },
];

describe("what is no review is refused with a reason", () => {
  for (const { name, sent, status, says } of refusals) {
    test(`${name}: ${status}`, async () => {
      const answer = await send(sent);
      assert.equal(answer.status, status);
      assert.match(answer.body, says);
      assert.equal((await send({ body: review() })).status, 200, "the server goes on");
    });
  }

  test("405 names the method to use", async () => assert.equal((await send({ method: "GET" })).headers.allow, "POST"));

  test("another path is 404", async () => assert.equal((await send({ body: review(), path: "/x" })).status, 404));
});

describe("a review is allowed, whatever is in it", () => {
  const objects: readonly (readonly [string, Readonly<Record<string, unknown>>, boolean])[] = [
    ["a pod", {}, false],
    ["a pod that is null", { object: null }, true],
    ["a pod that is a number", { object: 7 }, true],
    ["a pod without a spec", { object: { metadata: {} } }, true],
    ["containers that are none", { object: { spec: { containers: "no" } } }, false],
    ["containers that are null and numbers", { object: { spec: { containers: [null, 1, {}] } } }, false],
    ["labels of a strange form", { object: { metadata: { labels: [1] }, spec: { containers: [] } } }, false],
    ["an update without an old object", { operation: "UPDATE" }, false],
    ["a delete", { operation: "DELETE", object: null }, false],
    ["something that is no pod", { resource: { group: "apps", version: "v1", resource: "deployments" } }, false],
    ["a namespace that does not exist", { namespace: "nowhere" }, false],
  ];
  for (const [name, changes, warns] of objects) {
    test(name, async () => {
      const answer = await send({ body: review(changes), path: "?timeout=5s" });
      assert.equal(answer.status, 200);
      const { apiVersion, kind, response } = JSON.parse(answer.body);
      assert.deepEqual([apiVersion, kind], ["admission.k8s.io/v1", "AdmissionReview"]);
      assert.deepEqual([response.uid, response.allowed], ["705ab4f5-6393-11e8-b7cc-42010a800002", true]);
      assert.equal("patch" in response, "patchType" in response);
      if (warns) assert.match(response.warnings[0], /^slipway: the pod has no spec/);
    });
  }

  test("charset and upper case in the content type do not matter", async () => {
    const answer = await send({ body: review(), contentType: "Application/JSON; charset=utf-8" });
    assert.equal(answer.status, 200);
  });
});
