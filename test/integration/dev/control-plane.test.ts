import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Registry } from "prom-client";
import { systemClock } from "../../../src/clock.ts";
import { ApiError, type ClusterApi } from "../../../src/cluster/api.ts";
import { type ClusterTransport, createTransport } from "../../../src/cluster/client.ts";
import { createClusterApi } from "../../../src/cluster/kubernetes-api.ts";
import { createReflector } from "../../../src/cluster/reflector.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { createTokenRequester } from "../../../src/cluster/token-request.ts";
import { createTokenReviewer } from "../../../src/cluster/token-review.ts";
import { createNamespaceKeeper } from "../../../src/dev/accounts.ts";
import { type ControlPlane, startControlPlane } from "../../../src/dev/control-plane.ts";
import { startDistribution } from "../../../src/dev/distribution.ts";
import { findControlPlanePrograms, findRegistryProgram } from "../../../src/dev/programs.ts";
import { createLog } from "../../../src/log.ts";

const needs = { env: process.env, announce: () => {} };
const shared = {
  clock: systemClock,
  random: Math.random,
  log: createLog({ level: "silent" }),
  metrics: new Registry(),
};

let controlPlane: ControlPlane;
let transport: ClusterTransport;
let api: ClusterApi;
const stop = new AbortController();
let keeping: Promise<unknown>;
before(async () => {
  controlPlane = await startControlPlane({ programs: await findControlPlanePrograms(needs) });
  transport = createTransport({ kubeconfig: controlPlane.kubeconfigPath, ...shared });
  api = createClusterApi(transport);
  const namespaces = createReflector({ transport, resource: resources.namespaces, ...shared });
  const keeper = createNamespaceKeeper({ api, transport, namespaces, ...shared });
  keeping = Promise.all([namespaces.run(stop.signal), keeper.run(stop.signal)]);
});
after(async () => {
  stop.abort();
  await keeping;
  await transport.close();
  await controlPlane.stop();
  assert.equal(existsSync(controlPlane.kubeconfigPath), false);
  assert.equal(existsSync(controlPlane.caFile), false);
});

const signal = AbortSignal.timeout(600_000);

/** Follows one object by a watch until `isDone`, given undefined when it is gone. */
async function follow(path: string, name: string, isDone: (object: unknown) => boolean): Promise<void> {
  const query = { watch: "1", fieldSelector: `metadata.name=${name}` };
  const watch = await transport.stream({ method: "GET", path, query, signal });
  let text = "";
  for await (const chunk of watch.setEncoding("utf8")) {
    text += chunk;
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    for (const { type, object } of lines.map((line) => JSON.parse(line))) {
      if (isDone(type === "DELETED" ? undefined : object)) return;
    }
  }
  assert.fail(`the watch of ${path} ended before ${name} was so`);
}

async function createNamespace(name: string): Promise<void> {
  await api.create(resources.namespaces, { metadata: { name } }, { signal });
}

describe("what stands in for the controllers", () => {
  test("a new namespace gets its default account, so that a pod can be created", async () => {
    await createNamespace("fresh");
    await follow("/api/v1/namespaces/fresh/serviceaccounts", "default", (account) => account !== undefined);
    const spec = { containers: [{ name: "one", image: "a.example/b:1" }] };
    const pod = await api.create(resources.pods, { metadata: { name: "one", namespace: "fresh" }, spec }, { signal });
    assert.equal((pod.spec as { serviceAccountName?: string }).serviceAccountName, "default");
  });

  test("a deleted namespace is emptied and goes, and may come back under the same name", async () => {
    await createNamespace("short");
    await follow("/api/v1/namespaces/short/serviceaccounts", "default", (account) => account !== undefined);
    await api.create(resources.secrets, { metadata: { name: "left", namespace: "short" } }, { signal });
    const gone = follow("/api/v1/namespaces", "short", (namespace) => namespace === undefined);
    await api.delete(resources.namespaces, { name: "short" }, { signal });
    await gone;
    await createNamespace("short");
    await follow("/api/v1/namespaces/short/serviceaccounts", "default", (account) => account !== undefined);
    const address = { namespace: "short", name: "left" };
    await assert.rejects(api.get(resources.secrets, address, signal), (error: unknown) => {
      return error instanceof ApiError && error.reason === "NotFound";
    });
  });
});

describe("the control plane", () => {
  test("issues tokens for any audience and reviews them", async () => {
    await createNamespace("tokens");
    await follow("/api/v1/namespaces/tokens/serviceaccounts", "default", (account) => account !== undefined);
    const subject = { namespace: "tokens", name: "default" };
    const { token } = await createTokenRequester(api).request(subject, { audiences: ["slipway-agent"], signal });
    const reviewer = createTokenReviewer(api);
    const verdict = await reviewer.review(token, "slipway-agent", signal);
    assert.equal(verdict.kind, "authenticated");
    assert.equal((await reviewer.review(token, "slipway", signal)).kind, "refused");
  });

  test("knows further users by a certificate of theirs", async () => {
    const kubeconfig = await controlPlane.addUser({ name: "reader", groups: ["readers"] });
    const own = createTransport({ kubeconfig, ...shared });
    const reader = createClusterApi(own);
    await assert.rejects(reader.list(resources.secrets, {}, signal), (error: unknown) => {
      return error instanceof ApiError && error.status === 403 && error.message.includes('User "reader"');
    });
    await own.close();
  });
});

describe("a Distribution process", () => {
  test("serves the configuration that it is given, on loopback, until it is stopped", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "slipway-distribution-test-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const configFile = join(folder, "config.yml");
    await writeFile(configFile, JSON.stringify({ version: 0.1, storage: { filesystem: { rootdirectory: folder } } }));
    const distribution = await startDistribution({ program: await findRegistryProgram(needs), configFile });
    assert.match(distribution.address, /^127\.0\.0\.1:\d+$/);
    assert.equal((await fetch(`${distribution.url}/v2/`)).status, 200);
    await distribution.stop();
    await assert.rejects(fetch(`${distribution.url}/v2/`));
  });

  test("that cannot start is an error with its last words", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "slipway-distribution-test-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const configFile = join(folder, "config.yml");
    await writeFile(configFile, JSON.stringify({ version: 0.1, storage: { nothing: {} } }));
    const attempt = startDistribution({ program: await findRegistryProgram(needs), configFile });
    await assert.rejects(attempt, { code: "PROGRAM_FAILED", message: /nothing/ });
  });
});
