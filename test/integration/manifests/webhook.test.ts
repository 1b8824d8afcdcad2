import assert from "node:assert/strict";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";
import forge from "node-forge";
import * as names from "../../../src/config/names.ts";
import { startTestCluster, type TestCluster, until } from "./cluster.ts";

/** One call of the webhook, as the API server made it. */
type Seen = { readonly operation: string; readonly namespace: string; readonly subResource: string };

let cluster: TestCluster;
let webhook: { readonly port: number; readonly ca: string; readonly seen: Seen[]; close(): Promise<void> };

before(async () => {
  cluster = await startTestCluster("overlays/default");
  webhook = await startWebhook();
  await pointAt(webhook.port, webhook.ca);
  for (const [name, labels] of Object.entries(namespaces)) await createNamespace(name, labels);
  for (const name of ["opted-in", "plain", "kube-system"]) await createDefaultAccount(name);
  await webhookIsInForce();
});
after(async () => {
  await webhook.close();
  await cluster.stop();
});
beforeEach(() => {
  webhook.seen.length = 0;
});

const namespaces = { "opted-in": { [names.injectLabel]: "enabled" }, plain: {} };

/** A server that allows everything and remembers what it was asked. */
async function startWebhook(): Promise<typeof webhook> {
  const { certificate, key } = selfSigned();
  const seen: Seen[] = [];
  const server: Server = createServer({ cert: certificate, key }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.once("end", () => {
      const { request: review } = JSON.parse(Buffer.concat(chunks).toString("utf8"));
      seen.push({ operation: review.operation, namespace: review.namespace, subResource: review.subResource ?? "" });
      response.setHeader("content-type", "application/json");
      const answer = { uid: review.uid, allowed: true };
      response.end(JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response: answer }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { port: (server.address() as AddressInfo).port, ca: certificate, seen, close };
}

function selfSigned(): { readonly certificate: string; readonly key: string } {
  const { privateKey, publicKey } = forge.pki.rsa.generateKeyPair(2048);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = publicKey;
  certificate.serialNumber = "01";
  certificate.validity.notBefore = new Date(Date.now() - 60_000);
  certificate.validity.notAfter = new Date(Date.now() + 3_600_000);
  const subject = [{ name: "commonName", value: "webhook" }];
  certificate.setSubject(subject);
  certificate.setIssuer(subject);
  certificate.setExtensions([
    { name: "basicConstraints", cA: true },
    { name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] },
  ]);
  certificate.sign(privateKey, forge.md.sha256.create());
  return { certificate: forge.pki.certificateToPem(certificate), key: forge.pki.privateKeyToPem(privateKey) };
}

const configurationPath =
  "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/slipway?fieldValidation=Strict";

/** Replaces where the entries point at, and nothing else of them. */
async function pointAt(port: number, ca: string): Promise<void> {
  const { body } = await cluster.send({ method: "GET", path: configurationPath });
  for (const entry of body.webhooks) {
    entry.clientConfig = { url: `https://127.0.0.1:${port}/mutate`, caBundle: btoa(ca) };
  }
  assert.equal((await cluster.send({ method: "PUT", path: configurationPath, body })).status, 200);
}

async function createNamespace(name: string, labels: Record<string, string>): Promise<void> {
  const body = { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
  assert.equal((await cluster.send({ method: "POST", path: "/api/v1/namespaces", body })).status, 201);
}

async function createDefaultAccount(namespace: string): Promise<void> {
  const body = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default" } };
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts`;
  assert.equal((await cluster.send({ method: "POST", path, body })).status, 201);
}

/** A changed configuration reaches the API server's cache a moment later: probes until a call arrives. */
const webhookIsInForce = () =>
  until("the webhook is called", async () => {
    await cluster.send({ method: "POST", path: "/api/v1/namespaces/opted-in/pods?dryRun=All", body: pod("probe") });
    return webhook.seen.length > 0;
  });

type PodOptions = { readonly spec?: object; readonly labels?: Record<string, string> };

function pod(name: string, { spec = {}, labels = {} }: PodOptions = {}) {
  const containers = [{ name: "one", image: "a.example/one:1" }];
  return { apiVersion: "v1", kind: "Pod", metadata: { name, labels }, spec: { containers, ...spec } };
}

async function createPod(name: string, options: PodOptions & { readonly namespace?: string } = {}): Promise<void> {
  const path = `/api/v1/namespaces/${options.namespace ?? "opted-in"}/pods`;
  const { status, body } = await cluster.send({ method: "POST", path, body: pod(name, options) });
  assert.equal(status, 201, body.message);
}

async function patchPod(name: string, patch: unknown, subresource = ""): Promise<void> {
  const path = `/api/v1/namespaces/opted-in/pods/${name}${subresource}`;
  const contentType = "application/strategic-merge-patch+json";
  const { status, body } = await cluster.send({ method: "PATCH", path, body: patch, contentType });
  assert.equal(status, 200, body.message);
}

function container(name: string, image: string) {
  return { name, image };
}

const create: Seen = { operation: "CREATE", namespace: "opted-in", subResource: "" };
const update: Seen = { operation: "UPDATE", namespace: "opted-in", subResource: "" };

describe("which requests reach the webhook", () => {
  test("a new pod of an opted-in namespace", async () => {
    await createPod("new");
    assert.deepEqual(webhook.seen, [create]);
  });

  test("not a pod of a namespace without the label", async () => {
    await createPod("new", { namespace: "plain" });
    assert.deepEqual(webhook.seen, []);
  });

  test("not a pod that opts out", async () => {
    await createPod("opted-out", { labels: { [names.injectLabel]: "disabled" } });
    assert.deepEqual(webhook.seen, []);
  });

  test("not a pod of kube-system, whatever its label says", async () => {
    const labels = { metadata: { labels: { [names.injectLabel]: "enabled" } } };
    const contentType = "application/merge-patch+json";
    const path = "/api/v1/namespaces/kube-system";
    assert.equal((await cluster.send({ method: "PATCH", path, body: labels, contentType })).status, 200);
    await createPod("system", { namespace: "kube-system" });
    assert.deepEqual(webhook.seen, []);
  });

  test("an ephemeral container", async () => {
    await createPod("debugged");
    webhook.seen.length = 0;
    await patchPod(
      "debugged",
      { spec: { ephemeralContainers: [container("shell", "b.example/x:1")] } },
      "/ephemeralcontainers",
    );
    assert.deepEqual(webhook.seen, [{ ...update, subResource: "ephemeralcontainers" }]);
  });
});

const initContainers = [container("prepare", "a.example/prepare:1")];
const volumes = [{ name: "data", image: { reference: "a.example/data:1", pullPolicy: "IfNotPresent" } }];

describe("which updates of a pod reach the webhook", () => {
  const changes: readonly { name: string; spec: object; patch: unknown; want: readonly Seen[] }[] = [
    {
      name: "a changed image",
      spec: {},
      patch: { spec: { containers: [container("one", "b.example/one:1")] } },
      want: [update],
    },
    {
      name: "a changed image of an init container",
      spec: { initContainers },
      patch: { spec: { initContainers: [container("prepare", "b.example/prepare:1")] } },
      want: [update],
    },
    { name: "not a label", spec: {}, patch: { metadata: { labels: { a: "b" } } }, want: [] },
    {
      name: "not a label of a pod with init containers and image volumes",
      spec: { initContainers, volumes },
      patch: { metadata: { labels: { a: "b" } } },
      want: [],
    },
    { name: "not a finalizer", spec: {}, patch: { metadata: { finalizers: ["example.com/a"] } }, want: [] },
    { name: "not a deadline", spec: {}, patch: { spec: { activeDeadlineSeconds: 100 } }, want: [] },
    {
      name: "not the same image again",
      spec: {},
      patch: { spec: { containers: [container("one", "a.example/one:1")] } },
      want: [],
    },
  ];
  for (const [index, { name, spec, patch, want }] of changes.entries()) {
    test(name, async () => {
      await createPod(`update-${index}`, { spec });
      webhook.seen.length = 0;
      await patchPod(`update-${index}`, patch);
      assert.deepEqual(webhook.seen, want);
    });
  }

  test("a changed reference of an image volume, which the API server then refuses itself", async () => {
    await createPod("volume", { spec: { volumes } });
    webhook.seen.length = 0;
    const changed = [{ name: "data", image: { reference: "b.example/data:1", pullPolicy: "IfNotPresent" } }];
    const path = "/api/v1/namespaces/opted-in/pods/volume";
    const contentType = "application/strategic-merge-patch+json";
    const answer = await cluster.send({ method: "PATCH", path, body: { spec: { volumes: changed } }, contentType });
    assert.equal(answer.status, 422);
    assert.deepEqual(webhook.seen, [update]);
  });

  test("the last of 3,000 containers", async () => {
    const containers = Array.from({ length: 3_000 }, (_, index) => container(`c${index}`, "a.example/one:1"));
    await createPod("large", { spec: { containers } });
    webhook.seen.length = 0;
    await patchPod("large", { spec: { containers: [container("c2999", "b.example/one:1")] } });
    assert.deepEqual(webhook.seen, [update]);
  });

  test("and no condition ever fails to evaluate", async () => {
    const { body } = await cluster.send({ method: "GET", path: "/metrics" });
    const metric = "apiserver_admission_match_condition_evaluation_errors_total";
    const lines = String(body)
      .split("\n")
      .filter((line) => line.startsWith(metric));
    const failures = lines.filter((line) => !line.endsWith(" 0"));
    assert.deepEqual(failures, []);
    assert.match(String(body), /apiserver_admission_match_condition_evaluation_seconds_count\{[^}]*\} [1-9]/);
  });
});

test("the configuration can never block a pod, nor a dry run", async () => {
  const { body } = await cluster.send({ method: "GET", path: configurationPath });
  assert.deepEqual(
    body.webhooks.map(
      ({ failurePolicy, sideEffects, reinvocationPolicy, timeoutSeconds, matchPolicy }: Record<string, unknown>) => ({
        failurePolicy,
        sideEffects,
        reinvocationPolicy,
        timeoutSeconds,
        matchPolicy,
      }),
    ),
    Array.from({ length: 2 }, () => ({
      failurePolicy: "Ignore",
      sideEffects: "NoneOnDryRun",
      reinvocationPolicy: "IfNeeded",
      timeoutSeconds: 5,
      matchPolicy: "Equivalent",
    })),
  );
});
