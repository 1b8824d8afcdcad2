import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Registry } from "prom-client";
import { systemClock } from "../../../src/clock.ts";
import { ApiError } from "../../../src/cluster/api.ts";
import { createTransport } from "../../../src/cluster/client.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { findControlPlanePrograms } from "../../../src/dev/programs.ts";
import { runToEnd } from "../../../src/dev/run-to-end.ts";
import { createLog } from "../../../src/log.ts";
import { desiredPullSecret } from "../../../src/namespace/desired.ts";
import { observeNamespace } from "../../../src/namespace/observed.ts";
import { createSecretWriter } from "../../../src/namespace/secret-writer.ts";
import { compiledState } from "../../fake/compiled.ts";
import {
  type CountedTransport,
  countRequests,
  createNamespace,
  eventually,
  findSecret,
  startTestCluster,
  type TestCluster,
} from "./cluster.ts";
import { createLeaderState, dockerConfig, putSource, startController } from "./controller.ts";

const signal = AbortSignal.timeout(600_000);
const overlay = fileURLToPath(new URL("../../../manifests/overlays/default", import.meta.url));

let cluster: TestCluster;
let serve: CountedTransport;
let close: () => Promise<void>;

before(async () => {
  cluster = await startTestCluster();
  const { kubectl } = await findControlPlanePrograms({ env: process.env, announce: () => undefined });
  await runToEnd({ command: kubectl, args: ["--kubeconfig", cluster.kubeconfigPath, "apply", "-k", overlay] });
  const kubeconfig = await cluster.addUser("system:serviceaccount:slipway-system:serve", [
    "system:serviceaccounts",
    "system:serviceaccounts:slipway-system",
  ]);
  const log = createLog({ level: "silent" });
  const transport = createTransport({
    kubeconfig,
    clock: systemClock,
    random: Math.random,
    log,
    metrics: new Registry(),
  });
  close = () => transport.close();
  serve = countRequests(transport);
});
after(async () => {
  await close();
  await cluster.stop();
});

test("the rights of serve are enough for the life of a Secret: written, followed, told about, removed", async () => {
  await putSource(cluster.api, "one", dockerConfig({ "x.example.com": "1" }));
  const leader = createLeaderState(cluster.api);
  await leader.setPullCredentials({ a: [{ secretRef: { name: "one" } }] });
  const controller = await startController(serve, leader);
  try {
    await createNamespace(cluster.api, "served");
    await eventually("the Secret is there", () => findSecret(cluster.api, "served"));
    const labels = { "slipway.dev/inject": null };
    await cluster.api.merge(resources.namespaces, { name: "served" }, { metadata: { labels } }, signal);
    await eventually("it is gone", async () =>
      (await findSecret(cluster.api, "served")) === undefined ? true : undefined,
    );
    await createNamespace(cluster.api, "taken", { labels: {} });
    await cluster.transport.json({
      method: "POST",
      path: "/api/v1/namespaces/taken/secrets",
      body: { apiVersion: "v1", kind: "Secret", metadata: { name: "slipway-pull" } },
      signal,
    });
    const enabled = { "slipway.dev/inject": "enabled" };
    await cluster.api.merge(resources.namespaces, { name: "taken" }, { metadata: { labels: enabled } }, signal);
    await eventually("the Event is there", async () => {
      const events = await cluster.api.list(resources.events, { namespace: "taken" }, signal);
      return events.find(({ reason }) => reason === "ForeignSecret");
    });
  } finally {
    await controller.stop();
  }
});

test("in a namespace that is not opted in, the API server refuses our own writer", async () => {
  const namespace = observeNamespace(await createNamespace(cluster.api, "unserved", { labels: {} }));
  const desired = desiredPullSecret(compiledState(), namespace);
  assert.equal(desired.kind, "secret");
  if (desired.kind !== "secret") return;
  const { secret } = desired;
  const outcome = await eventually("the policy is in force", async () => {
    const found = await createSecretWriter({ api: serve.api }).apply(
      { secret, known: undefined, force: false },
      signal,
    );
    if (found.kind === "forbidden") return found;
    // The API server takes a moment to put a policy in force: what came through before is taken away.
    await cluster.api.delete(resources.secrets, { namespace: secret.namespace, name: secret.name }, { signal });
    return undefined;
  });
  assert.equal(outcome.reason, "PolicyDenied");
});

test("a Secret of any other name is refused", async () => {
  await createNamespace(cluster.api, "named");
  const object = { metadata: { name: "other", namespace: "named" }, data: {} };
  await assert.rejects(serve.api.apply(resources.secrets, object, { signal }), isForbidden);
  await assert.rejects(serve.api.get(resources.secrets, { namespace: "named", name: "other" }, signal), isForbidden);
  await assert.rejects(serve.api.list(resources.secrets, { namespace: "named" }, signal), isForbidden);
});

function isForbidden(error: unknown): boolean {
  return error instanceof ApiError && error.status === 403;
}
