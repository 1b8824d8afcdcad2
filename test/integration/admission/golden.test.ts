import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { Registry } from "prom-client";
import { parse } from "yaml";
import { mutate } from "../../../src/admission/mutate.ts";
import { type AdmissionRequest, readReview } from "../../../src/admission/review.ts";
import { systemClock } from "../../../src/clock.ts";
import { originalImagesAnnotation } from "../../../src/config/names.ts";
import { createLog } from "../../../src/log.ts";
import { createMutateHandler } from "../../../src/webhook/mutate-route.ts";
import { createSelfSigned } from "../../fake/self-signed.ts";
import { applyDecision } from "../../fixtures/admission/apply.ts";
import { buildWorld, type WorldConfig } from "../../fixtures/admission/world.ts";
import { type Answer, startTestCluster, type TestCluster } from "../manifests/cluster.ts";
import { imagesOf, type Pod, pullSecretsOf } from "./pod.ts";

// Every golden review is sent to a real API server, whose webhook is our own handler with the facts of that case. So
// the patch goes through the API server's own library, and the result through its validation.

const root = new URL("../../fixtures/admission/", import.meta.url);
const read = (name: string, file: string): string => readFileSync(new URL(`${name}/${file}`, root), "utf8");
const cases = readdirSync(root, { withFileTypes: true }).flatMap((entry) => {
  if (!entry.isDirectory()) return [];
  const reading = readReview(JSON.parse(read(entry.name, "review.json")));
  assert.ok(reading.kind === "ok");
  const world = buildWorld(parse(read(entry.name, "config.yaml")) as WorldConfig);
  return [{ name: entry.name, request: reading.request, world }];
});
type Case = (typeof cases)[number];

let cluster: TestCluster;
let server: Server;
/** The case whose facts the webhook answers by; undefined: it changes nothing. */
let current: Case | undefined;
let calls = 0;

before(async () => {
  // The fixtures name accounts and classes of the clusters that they come from.
  const plugins = "ServiceAccount,Priority,RuntimeClass,DefaultTolerationSeconds";
  cluster = await startTestCluster(undefined, { "disable-admission-plugins": plugins });
  const certificate = createSelfSigned();
  const handler = createMutateHandler({
    decide: (request) => {
      if (current === undefined)
        return { kind: "untouched", reason: "nothing-to-do", warnings: [], audit: {}, counts: {}, missed: [] };
      calls++;
      return mutate(request, current.world);
    },
    clock: systemClock,
    log: createLog({ level: "silent" }),
    metrics: new Registry(),
  });
  server = createServer(certificate, (request, response) => void handler(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  for (const namespace of new Set(cases.map(({ request }) => request.namespace))) {
    await cluster.send({ method: "POST", path: "/api/v1/namespaces", body: { metadata: { name: namespace } } });
  }
  await registerWebhook(certificate.cert);
});
after(async () => {
  await cluster.stop();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

async function registerWebhook(certificate: string): Promise<void> {
  const { port } = server.address() as AddressInfo;
  const webhook = {
    name: "golden.slipway.dev",
    admissionReviewVersions: ["v1"],
    clientConfig: { url: `https://127.0.0.1:${port}/mutate`, caBundle: Buffer.from(certificate).toString("base64") },
    rules: [
      {
        apiGroups: [""],
        apiVersions: ["v1"],
        operations: ["CREATE", "UPDATE"],
        resources: ["pods", "pods/ephemeralcontainers"],
      },
    ],
    failurePolicy: "Fail",
    sideEffects: "None",
  };
  const path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
  const answer = await cluster.send({
    method: "POST",
    path,
    body: { metadata: { name: "golden" }, webhooks: [webhook] },
  });
  assert.equal(answer.status, 201);
  const [probe] = cases;
  assert.ok(probe !== undefined);
  for (const deadlineMs = Date.now() + 120_000; calls === 0; ) {
    assert.ok(Date.now() < deadlineMs, "the API server never called the webhook");
    await as(probe, () => create(probe.request));
  }
}

async function as<Value>(which: Case, act: () => Promise<Value>): Promise<Value> {
  current = which;
  try {
    return await act();
  } finally {
    current = undefined;
  }
}

/** What the API server or its controllers fill in, which nobody sends. */
function asSent(object: unknown, name?: string): Record<string, unknown> {
  const { status: _status, metadata = {}, ...pod } = object as { status?: unknown; metadata?: Record<string, unknown> };
  const {
    uid: _uid,
    resourceVersion: _version,
    creationTimestamp: _created,
    managedFields: _fields,
    ...rest
  } = metadata;
  return {
    ...pod,
    metadata: { ...rest, namespace: undefined, ...(name === undefined ? {} : { name, generateName: undefined }) },
  };
}

function create({ namespace, object }: AdmissionRequest): Promise<Answer> {
  const path = `/api/v1/namespaces/${namespace}/pods?dryRun=All`;
  return cluster.send({ method: "POST", path, body: asSent(object) });
}

/** The old object as it is stored, then the new one over it, as a dry run. */
async function update(which: Case, willMutate: boolean): Promise<Answer> {
  const { namespace, object, oldObject, subResource } = which.request;
  const path = `/api/v1/namespaces/${namespace}/pods`;
  const stored = await cluster.send({ method: "POST", path, body: withoutEphemeral(asSent(oldObject, "golden")) });
  assert.equal(stored.status, 201, JSON.stringify(stored.body));
  try {
    const previous = ephemeralOf(oldObject);
    if (previous.length > 0) await replace(path, previous, undefined);
    const send = () => (subResource === "" ? replaceImages(path, object) : replace(path, ephemeralOf(object), "All"));
    return willMutate ? await as(which, send) : await send();
  } finally {
    await cluster.send({ method: "DELETE", path: `${path}/golden?gracePeriodSeconds=0` });
  }
}

function ephemeralOf(pod: unknown): readonly unknown[] {
  return (pod as { spec: { ephemeralContainers?: readonly unknown[] } }).spec.ephemeralContainers ?? [];
}

function withoutEphemeral(pod: Record<string, unknown>): unknown {
  const { ephemeralContainers: _ephemeral, ...spec } = pod.spec as Record<string, unknown>;
  return { ...pod, spec };
}

function replace(path: string, ephemeralContainers: readonly unknown[], dryRun: string | undefined): Promise<Answer> {
  const query = dryRun === undefined ? "" : `?dryRun=${dryRun}`;
  const body = { spec: { ephemeralContainers } };
  const contentType = "application/strategic-merge-patch+json";
  return cluster.send({ method: "PATCH", path: `${path}/golden/ephemeralcontainers${query}`, body, contentType });
}

/** As `kubectl apply` does: labels, annotations and references; the rest of a pod cannot be changed. */
function replaceImages(path: string, object: unknown): Promise<Answer> {
  const { metadata, spec } = object as { metadata: Record<string, unknown>; spec: Record<string, unknown> };
  const { labels, annotations } = metadata;
  const { containers, initContainers, volumes } = spec;
  const body = { metadata: { labels, annotations }, spec: { containers, initContainers, volumes } };
  const contentType = "application/strategic-merge-patch+json";
  return cluster.send({ method: "PATCH", path: `${path}/golden?dryRun=All`, body, contentType });
}

describe("golden reviews at a real API server", () => {
  for (const which of cases) {
    const { name, request, world } = which;
    test(`${name} (${request.operation}${request.subResource && ` ${request.subResource}`})`, async () => {
      const isCreate = request.operation === "CREATE";
      const plain = isCreate ? await create(request) : await update(which, false);
      const answer = isCreate ? await as(which, () => create(request)) : await update(which, true);
      if (plain.status >= 400 && answer.status >= 400) {
        // The API server refuses the object itself: then it is not we who do. The other way round is a re-applied
        // image volume, which only a reference that is put back saves.
        assert.deepEqual([answer.status, answer.body.reason], [plain.status, plain.body.reason]);
        return;
      }
      assert.ok(answer.status < 300, JSON.stringify(answer.body));
      const wanted = applyDecision(request.object, mutate(request, world)) as Pod;
      const got = answer.body as Pod;
      assert.deepEqual(
        imagesOf(got),
        imagesOf(wanted).map((image) => image ?? ""),
      );
      assert.deepEqual(pullSecretsOf(got), pullSecretsOf(wanted));
      if (request.subResource === "") {
        const [mine, theirs] = [wanted, got].map(({ metadata }) => metadata.annotations?.[originalImagesAnnotation]);
        assert.equal(theirs, mine);
      }
    });
  }

  test("hardly any fixture is one that an API server refuses by itself", async () => {
    const creations = cases.filter(({ request }) => request.operation === "CREATE");
    const statuses = await Promise.all(creations.map(({ request }) => create(request)));
    const refused = creations.filter((_case, index) => (statuses[index]?.status ?? 0) >= 400).map(({ name }) => name);
    assert.deepEqual(refused, ["empty-image"]);
  });
});
