import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import type { KubernetesObject } from "../../../src/cluster/object.ts";
import { resources } from "../../../src/cluster/resource.ts";
import {
  type CountedTransport,
  createNamespace,
  eventually,
  findSecret,
  passwordsOf,
  startTestCluster,
  type TestCluster,
} from "./cluster.ts";
import {
  createLeaderState,
  dockerConfig,
  type LeaderState,
  putSource,
  type RunningController,
  startController,
} from "./controller.ts";

const signal = AbortSignal.timeout(600_000);
const encode = (text: string) => Buffer.from(text).toString("base64");

let cluster: TestCluster;
let counted: CountedTransport;
let leader: LeaderState;
let controller: RunningController;
let names = 0;

before(async () => {
  cluster = await startTestCluster();
  counted = cluster.openCounted();
  await createNamespace(cluster.api, "slipway-system", { labels: {} });
});
after(() => cluster.stop());

beforeEach(async () => {
  leader = createLeaderState(cluster.api);
  await putSource(cluster.api, "one", dockerConfig({ "x.example.com": "1" }));
  await putSource(cluster.api, "two", dockerConfig({ "y.example.com": "2" }));
  await leader.setPullCredentials({ a: [{ secretRef: { name: "one" } }, { secretRef: { name: "two" } }] });
  controller = await startController(counted, leader);
});
afterEach(() => controller.stop());

const both = { "x.example.com": "1", "y.example.com": "2" };
const newName = () => `life-${++names}`;

async function newNamespace(metadata: Partial<KubernetesObject["metadata"]> = {}): Promise<string> {
  const name = newName();
  await createNamespace(cluster.api, name, metadata);
  return name;
}

/** Waits until the pull Secret of a namespace holds exactly these logins. */
function holds(namespace: string, want: Readonly<Record<string, string>>): Promise<KubernetesObject> {
  return eventually(`${namespace} holds ${JSON.stringify(want)}`, async () => {
    const secret = await findSecret(cluster.api, namespace);
    const same = JSON.stringify(passwordsOf(secret)) === JSON.stringify(want);
    return secret !== undefined && same ? secret : undefined;
  });
}

function isAbsent(namespace: string, name = "slipway-pull"): Promise<boolean> {
  return eventually(`${namespace} has no Secret ${name}`, async () =>
    (await findSecret(cluster.api, namespace, name)) === undefined ? true : undefined,
  );
}

const label = (name: string, value: string | null) =>
  cluster.api.merge(resources.namespaces, { name }, { metadata: { labels: { "slipway.dev/inject": value } } }, signal);
/** As somebody with kubectl would: a manager of their own. */
const edit = (namespace: string, patch: unknown) =>
  cluster.transport.json({
    method: "PATCH",
    path: `/api/v1/namespaces/${namespace}/secrets/slipway-pull`,
    query: { fieldManager: "kubectl-edit" },
    contentType: "application/merge-patch+json",
    body: patch,
    signal,
  });
const deleteSecret = (namespace: string) =>
  cluster.api.delete(resources.secrets, { namespace, name: "slipway-pull" }, { signal });
const restartAfter = async (change: () => Promise<unknown>) => {
  await controller.stop();
  await change();
  controller = await startController(counted, leader);
};

describe("a restart", () => {
  test("with everything in step writes nothing", async () => {
    await holds(await newNamespace(), both);
    await holds(await newNamespace(), both);
    await restartAfter(async () => counted.writes.splice(0));
    await eventually("all were looked at", () => {
      const { synced = 0, failing = [], total = -1 } = controller.progress.statusOf("a")?.namespaces ?? {};
      return synced + failing.length === total ? true : undefined;
    });
    assert.deepEqual(counted.writes, []);
  });

  test("finds what was opted out, deleted and edited meanwhile", async () => {
    const [left, lost, edited] = [await newNamespace(), await newNamespace(), await newNamespace()];
    for (const name of [left, lost, edited]) await holds(name, both);
    await restartAfter(async () => {
      await label(left, null);
      await deleteSecret(lost);
      await edit(edited, { data: { ".dockerconfigjson": encode(dockerConfig({ "x.example.com": "wrong" })) } });
    });
    await isAbsent(left);
    await holds(lost, both);
    await holds(edited, both);
  });

  test("before anything was compiled writes and removes nothing", async () => {
    const name = await newNamespace();
    const { metadata } = await holds(name, both);
    await controller.stop();
    leader = createLeaderState(cluster.api);
    counted.writes.splice(0);
    controller = await startController(counted, leader, { resyncMs: 20 });
    const fresh = await newNamespace();
    await eventually("it was seen", () => controller.namespaces.get(fresh));
    await controller.stop();
    assert.deepEqual(counted.writes, []);
    assert.equal((await findSecret(cluster.api, name))?.metadata.resourceVersion, metadata.resourceVersion);
  });
});
