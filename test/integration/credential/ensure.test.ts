import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Registry } from "prom-client";
import { createMemoryStore } from "../../../src/cluster/memory-store.ts";
import { resources } from "../../../src/cluster/resource.ts";
import type { Compiled } from "../../../src/config/compiled.ts";
import { createLog } from "../../../src/log.ts";
import { desiredPullSecret } from "../../../src/namespace/desired.ts";
import { createSecretEnsure } from "../../../src/namespace/ensure.ts";
import {
  type ObservedNamespace,
  type ObservedSecret,
  observeNamespace,
  observeSecret,
} from "../../../src/namespace/observed.ts";
import { createSecretWriter } from "../../../src/namespace/secret-writer.ts";
import { optInSelection } from "../../../src/namespace/selection.ts";
import { createFastClock } from "../../fake/clock.ts";
import { compiledCredential, compiledState } from "../../fake/compiled.ts";
import {
  type CountedTransport,
  createNamespace,
  findSecret,
  passwordsOf,
  startTestCluster,
  type TestCluster,
} from "./cluster.ts";

const signal = AbortSignal.timeout(600_000);
let cluster: TestCluster;
before(async () => {
  cluster = await startTestCluster();
});
after(() => cluster.stop());

/** What comes of a look is told here, not what comes of its 800 ms on a busy machine: they last for 80 s. */
const clock = createFastClock(0.01);

const stateOf = (revision: number, password: string): Compiled =>
  compiledState({ revision, credentials: [compiledCredential("team", { "registry.example.com": password })] });

/** A replica of serve whose watches show nothing: what they would have shown has to come from the API. */
function openReplica(compiled: Compiled, newest: Compiled = compiled) {
  const counted: CountedTransport = cluster.openCounted();
  const ensure = createSecretEnsure({
    api: counted.api,
    writer: createSecretWriter({ api: counted.api }),
    namespaces: createMemoryStore<ObservedNamespace>(),
    pullSecrets: createMemoryStore<ObservedSecret>(),
    compiled: () => compiled,
    readCompiled: async () => newest,
    selection: optInSelection,
    clock,
    log: createLog({ level: "silent" }),
    metrics: new Registry(),
  });
  return {
    writes: counted.writes,
    look: async (name: string) => ensure.ensure(name, { deadlineMs: clock.monotonicMs() + 4_000, dryRun: false }),
  };
}

/** Another one after whatever write the API server accepts. */
async function versionIn(namespace: string): Promise<string> {
  return (
    (await findSecret(cluster.api, namespace))?.metadata.resourceVersion ?? assert.fail(`no Secret in ${namespace}`)
  );
}

const passwordIn = async (namespace: string) =>
  passwordsOf(await findSecret(cluster.api, namespace))["registry.example.com"];

test("the Secret is there when the answer is given, in a namespace made a moment ago", async () => {
  const replica = openReplica(stateOf(1, "one"));
  await createNamespace(cluster.api, "fresh");
  assert.deepEqual(await replica.look("fresh"), { kind: "ready" });
  assert.equal(await passwordIn("fresh"), "one");
});

test("three replicas and fifty pods at once: one Secret, the same bytes", async () => {
  const replicas = [1, 2, 3].map(() => openReplica(stateOf(1, "one")));
  await createNamespace(cluster.api, "crowd");
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, pod) => (replicas[pod % 3] ?? assert.fail()).look("crowd")),
  );
  assert.deepEqual(new Set(answers.map(({ kind }) => kind)), new Set(["ready"]));
  assert.ok(replicas.every(({ writes }) => writes.length <= 1));
  const { metadata } = (await findSecret(cluster.api, "crowd")) ?? assert.fail();
  await replicas[0]?.look("crowd");
  const found = await findSecret(cluster.api, "crowd");
  assert.equal(found?.metadata.resourceVersion, metadata.resourceVersion);
});

test("what the controller wrote from a later revision is never written over by a replica whose watch lags", async () => {
  const namespace = observeNamespace(await createNamespace(cluster.api, "lag"));
  const desired = desiredPullSecret(stateOf(7, "new"), namespace);
  assert.equal(desired.kind, "secret");
  if (desired.kind !== "secret") return;
  await createSecretWriter({ api: cluster.api }).apply(
    { secret: desired.secret, known: undefined, force: false },
    signal,
  );
  const lagging = openReplica(stateOf(6, "old"));
  const before = await versionIn("lag");
  assert.deepEqual(await lagging.look("lag"), { kind: "ready" });
  assert.equal(await versionIn("lag"), before);
  assert.equal(await passwordIn("lag"), "new");
});

test("a replica whose watch lags writes the newest bytes where there are none", async () => {
  await createNamespace(cluster.api, "lag-empty");
  const lagging = openReplica(stateOf(6, "old"), stateOf(7, "new"));
  assert.deepEqual(await lagging.look("lag-empty"), { kind: "ready" });
  assert.equal(await passwordIn("lag-empty"), "new");
});

test("new bytes reach a namespace with its next pod, in place", async () => {
  await createNamespace(cluster.api, "rotate");
  await openReplica(stateOf(1, "one")).look("rotate");
  const { metadata } = (await findSecret(cluster.api, "rotate")) ?? assert.fail();
  assert.deepEqual(await openReplica(stateOf(2, "two")).look("rotate"), { kind: "ready" });
  assert.equal(await passwordIn("rotate"), "two");
  assert.equal((await findSecret(cluster.api, "rotate"))?.metadata.uid, metadata.uid);
});

test("a Secret of somebody else keeps its bytes, and so does one that somebody edited", async () => {
  await createNamespace(cluster.api, "foreign");
  const path = "/api/v1/namespaces/foreign/secrets";
  const body = { apiVersion: "v1", kind: "Secret", metadata: { name: "slipway-pull" }, stringData: { a: "b" } };
  await cluster.transport.json({ method: "POST", path, body, query: { fieldManager: "kubectl-create" }, signal });
  const replica = openReplica(stateOf(1, "one"));
  const foreign = await versionIn("foreign");
  assert.equal((await replica.look("foreign")).kind, "unavailable");
  assert.equal(await versionIn("foreign"), foreign);

  await createNamespace(cluster.api, "edited");
  await openReplica(stateOf(1, "one")).look("edited");
  const content = Buffer.from('{"auths":{"registry.example.com":{"username":"u","password":"edited"}}}');
  await cluster.transport.json({
    method: "PATCH",
    path: "/api/v1/namespaces/edited/secrets/slipway-pull",
    contentType: "application/merge-patch+json",
    query: { fieldManager: "kubectl-edit" },
    body: { data: { ".dockerconfigjson": content.toString("base64") } },
    signal,
  });
  const other = openReplica(stateOf(2, "two"));
  const edited = await versionIn("edited");
  assert.equal((await other.look("edited")).kind, "unavailable");
  assert.equal(await versionIn("edited"), edited);
  assert.equal(await passwordIn("edited"), "edited");
});

test("in a namespace that is going away nothing is written", async () => {
  await createNamespace(cluster.api, "going");
  await cluster.api.delete(resources.namespaces, { name: "going" }, { signal });
  const replica = openReplica(stateOf(1, "one"));
  assert.equal((await replica.look("going")).kind, "unavailable");
  assert.deepEqual(replica.writes, []);
});

test("its own write is seen as in step by what the controller would decide", async () => {
  const namespace = observeNamespace(await createNamespace(cluster.api, "agree"));
  await openReplica(stateOf(1, "one")).look("agree");
  const observed = observeSecret((await findSecret(cluster.api, "agree")) ?? assert.fail());
  const desired = desiredPullSecret(stateOf(1, "one"), namespace);
  assert.equal(observed.contentHash, desired.kind === "secret" ? desired.secret.contentHash : undefined);
  assert.deepEqual(observed.ownedDataKeys, [".dockerconfigjson"]);
});
