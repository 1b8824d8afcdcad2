import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import type { KubernetesObject } from "../../../src/cluster/object.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { compiledRegistry } from "../../fake/compiled.ts";
import {
  type CountedTransport,
  createNamespace,
  destroyNamespace,
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
const type = "kubernetes.io/dockerconfigjson";
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

function isFailing(namespace: string, reason: string): Promise<boolean> {
  return eventually(`${namespace} is told as ${reason}`, () => {
    const { failing = [] } = controller.progress.statusOf("a")?.namespaces ?? {};
    return failing.some((entry) => entry.name === namespace && entry.reason === reason) ? true : undefined;
  });
}

function isTold(namespace: string, reason: string): Promise<KubernetesObject> {
  return eventually(`an Event ${reason} in ${namespace}`, async () =>
    (await cluster.api.list(resources.events, { namespace }, signal)).find((event) => event.reason === reason),
  );
}

const label = (name: string, value: string | null) =>
  cluster.api.merge(resources.namespaces, { name }, { metadata: { labels: { "slipway.dev/inject": value } } }, signal);
const annotate = (name: string, annotations: Readonly<Record<string, string | null>>) =>
  cluster.api.merge(resources.namespaces, { name }, { metadata: { annotations } }, signal);
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
const place = (namespace: string, secret: Record<string, unknown>, labels: Record<string, string> = {}) =>
  cluster.transport.json({
    method: "POST",
    path: `/api/v1/namespaces/${namespace}/secrets`,
    query: { fieldManager: "kubectl-create" },
    body: { apiVersion: "v1", kind: "Secret", metadata: { name: "slipway-pull", labels }, ...secret },
    signal,
  });
const deleteSecret = (namespace: string) =>
  cluster.api.delete(resources.secrets, { namespace, name: "slipway-pull" }, { signal });
const restartAfter = async (change: () => Promise<unknown>) => {
  await controller.stop();
  await change();
  controller = await startController(counted, leader);
};

describe("namespaces", () => {
  test("created with the label: the Secret is written, marked and typed", async () => {
    const secret = await holds(await newNamespace(), both);
    assert.equal(secret.type, type);
    assert.equal(secret.metadata.labels?.["app.kubernetes.io/managed-by"], "slipway");
    assert.equal(secret.metadata.ownerReferences, undefined);
    assert.equal(secret.metadata.finalizers, undefined);
  });

  test("label added: written; label removed: removed", async () => {
    const name = await newNamespace({ labels: {} });
    await label(name, "enabled");
    await holds(name, both);
    await label(name, null);
    await isAbsent(name);
  });

  test("Terminating: left alone", async () => {
    const name = await newNamespace();
    await holds(name, both);
    await cluster.api.delete(resources.namespaces, { name }, { signal });
    await deleteSecret(name);
    await eventually("the deletion was seen", () =>
      controller.namespaces.get(name)?.terminating && controller.pullSecrets.get(`${name}/slipway-pull`) === undefined
        ? true
        : undefined,
    );
    const last = await newNamespace();
    await holds(last, both);
    assert.equal(await findSecret(cluster.api, name), undefined);
  });

  test("deleted and made again under the same name: a Secret with another login", async () => {
    await leader.setRegistry(compiledRegistry());
    const name = await newNamespace();
    const host = "registry.slipway-system.svc";
    const first = await eventually("a login", async () => passwordsOf(await findSecret(cluster.api, name))[host]);
    await destroyNamespace(cluster, name);
    await createNamespace(cluster.api, name);
    const second = await eventually(
      "another login",
      async () => passwordsOf(await findSecret(cluster.api, name))[host],
    );
    assert.notEqual(second, first);
  });

  test("the annotation narrows and widens the list", async () => {
    await leader.setPullCredentials({ a: [{ secretRef: { name: "one" } }], b: [{ secretRef: { name: "two" } }] });
    const name = await newNamespace({
      labels: { "slipway.dev/inject": "enabled" },
      annotations: { "slipway.dev/credentials": "b" },
    });
    await holds(name, { "y.example.com": "2" });
    await annotate(name, { "slipway.dev/credentials": null });
    await holds(name, both);
    await annotate(name, { "slipway.dev/credentials": "none" });
    await isAbsent(name);
  });

  test("a quota without room: told, tried again, and no other namespace waits for it", async () => {
    const name = await newNamespace({ labels: {} });
    const quota = {
      apiVersion: "v1",
      kind: "ResourceQuota",
      metadata: { name: "none" },
      spec: { hard: { secrets: "0" } },
    };
    const quotas = `/api/v1/namespaces/${name}/resourcequotas`;
    const created = (await cluster.transport.json({ method: "POST", path: quotas, body: quota, signal })) as object;
    await cluster.transport.json({
      method: "PUT",
      path: `${quotas}/none/status`,
      body: { ...created, status: { hard: { secrets: "0" }, used: { secrets: "0" } } },
      signal,
    });
    await label(name, "enabled");
    await isFailing(name, "QuotaExceeded");
    await isTold(name, "QuotaExceeded");
    await holds(await newNamespace(), both);
    await cluster.transport.json({ method: "DELETE", path: `${quotas}/none`, signal });
    await holds(name, both);
  });
});

describe("our Secret", () => {
  test("deleted: made again", async () => {
    const name = await newNamespace();
    await holds(name, both);
    await deleteSecret(name);
    await holds(name, both);
  });

  test("its content edited: repaired in place", async () => {
    const name = await newNamespace();
    const { metadata } = await holds(name, both);
    await edit(name, { data: { ".dockerconfigjson": encode(dockerConfig({ "x.example.com": "wrong" })) } });
    assert.equal((await holds(name, both)).metadata.uid, metadata.uid);
  });

  test("its annotations edited: repaired", async () => {
    const name = await newNamespace();
    await holds(name, both);
    await edit(name, {
      metadata: { annotations: { "slipway.dev/revision": "999999", "slipway.dev/content-hash": "x" } },
    });
    await eventually("the revision is ours again", async () => {
      const found = await findSecret(cluster.api, name);
      return found?.metadata.annotations?.["slipway.dev/revision"] === "1" ? true : undefined;
    });
  });

  test("made anew by somebody with our marker and another type: told, and left alone", async () => {
    const name = await newNamespace();
    await holds(name, both);
    await restartAfter(async () => {
      await deleteSecret(name);
      await place(name, { type: "Opaque", stringData: { theirs: "x" } }, { "app.kubernetes.io/managed-by": "slipway" });
    });
    await isFailing(name, "SecretTypeChanged");
    await isTold(name, "SecretTypeChanged");
    assert.equal((await findSecret(cluster.api, name))?.type, "Opaque");
    await deleteSecret(name);
    await holds(name, both);
  });

  test("its marker removed: it belongs to whoever did that, until the marker is back", async () => {
    const name = await newNamespace();
    await holds(name, both);
    await edit(name, { metadata: { labels: { "app.kubernetes.io/managed-by": null } } });
    await isFailing(name, "ForeignSecret");
    await putSource(cluster.api, "one", dockerConfig({ "x.example.com": "new" }));
    await leader.recompile();
    const other = await newNamespace();
    await holds(other, { ...both, "x.example.com": "new" });
    assert.deepEqual(passwordsOf(await findSecret(cluster.api, name)), both);
    await edit(name, { metadata: { labels: { "app.kubernetes.io/managed-by": "slipway" } } });
    await holds(name, { ...both, "x.example.com": "new" });
  });

  test("made immutable: kept while its content is right, then made anew", async () => {
    const name = await newNamespace();
    const { metadata } = await holds(name, both);
    await edit(name, { immutable: true });
    await putSource(cluster.api, "one", dockerConfig({ "x.example.com": "new" }));
    await leader.recompile();
    const replaced = await holds(name, { ...both, "x.example.com": "new" });
    assert.notEqual(replaced.metadata.uid, metadata.uid);
    assert.equal(replaced.immutable, undefined);
  });

  test("a Secret of that name that is not ours: told, never touched, and ours comes when it goes", async () => {
    const name = await newNamespace({ labels: {} });
    const theirs = dockerConfig({ "x.example.com": "theirs" });
    const placed = (await place(name, { type, data: { ".dockerconfigjson": encode(theirs) } })) as KubernetesObject;
    await label(name, "enabled");
    await isFailing(name, "ForeignSecret");
    const event = await isTold(name, "ForeignSecret");
    assert.equal((event.regarding as { name: string }).name, "slipway-pull");
    const found = await findSecret(cluster.api, name);
    assert.equal(found?.metadata.resourceVersion, placed.metadata.resourceVersion);
    await label(name, null);
    await label(name, "enabled");
    await deleteSecret(name);
    await holds(name, both);
  });

  test("keys that somebody adds stay, and cause no further write", async () => {
    const name = await newNamespace();
    await holds(name, both);
    await edit(name, { data: { note: encode("theirs") } });
    const { metadata } = await eventually("the key is there", () => findSecret(cluster.api, name));
    await putSource(cluster.api, "one", dockerConfig({ "x.example.com": "new" }));
    await leader.recompile();
    const updated = await holds(name, { ...both, "x.example.com": "new" });
    assert.equal(updated.metadata.uid, metadata.uid);
    assert.equal((updated.data as Record<string, string>).note, encode("theirs"));
  });
});

describe("sources", () => {
  test("changed: every namespace follows", async () => {
    const spaces = await Promise.all([newNamespace(), newNamespace(), newNamespace()]);
    await Promise.all(spaces.map((name) => holds(name, both)));
    await putSource(cluster.api, "one", dockerConfig({ "x.example.com": "new", "z.example.com": "3" }));
    await leader.recompile();
    await Promise.all(
      spaces.map((name) => holds(name, { "x.example.com": "new", "y.example.com": "2", "z.example.com": "3" })),
    );
    await eventually("all are counted as synced", () => {
      const { observedRevision, namespaces } = controller.progress.statusOf("a") ?? {};
      const isAll =
        namespaces !== undefined && namespaces.synced + (namespaces.failing?.length ?? 0) === namespaces.total;
      return observedRevision === 2 && isAll ? true : undefined;
    });
  });

  const faults = [
    {
      name: "deleted",
      break: () => cluster.api.delete(resources.secrets, { namespace: "slipway-system", name: "one" }, { signal }),
    },
    { name: "emptied", break: () => putSource(cluster.api, "one", '{"auths":{}}') },
    {
      name: "corrupt in one entry",
      break: () => putSource(cluster.api, "one", '{"auths":{"x.example.com":{"auth":"%"}}}'),
    },
  ] as const;
  for (const fault of faults) {
    test(`${fault.name} while another changes: its last good logins stay, the other follows`, async () => {
      const name = await newNamespace();
      await holds(name, both);
      await fault.break();
      await putSource(cluster.api, "two", dockerConfig({ "y.example.com": "new" }));
      await leader.recompile();
      await holds(name, { "x.example.com": "1", "y.example.com": "new" });
      const ready = leader.reports()[0]?.conditions.find((condition) => condition.type === "Ready");
      assert.deepEqual([ready?.status, ready?.reason], ["False", "SourceFailed"]);
      await putSource(cluster.api, "one", dockerConfig({ "x.example.com": "back" }));
      await leader.recompile();
      await holds(name, { "x.example.com": "back", "y.example.com": "new" });
    });
  }

  test("taken out of the PullCredential: its logins go, in place", async () => {
    const name = await newNamespace();
    const { metadata } = await holds(name, both);
    await leader.setPullCredentials({ a: [{ secretRef: { name: "two" } }] });
    assert.equal((await holds(name, { "y.example.com": "2" })).metadata.uid, metadata.uid);
  });

  test("the PullCredential deleted: its logins go, and the Secret with the last of them", async () => {
    const name = await newNamespace();
    await holds(name, both);
    await leader.setPullCredentials({});
    await isAbsent(name);
  });
});

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

  test("with a source deleted meanwhile keeps its last good logins", async () => {
    const name = await newNamespace();
    const { metadata } = await holds(name, both);
    await restartAfter(async () => {
      await cluster.api.delete(resources.secrets, { namespace: "slipway-system", name: "one" }, { signal });
      await leader.recompile();
    });
    const last = await newNamespace();
    await holds(last, both);
    const found = await findSecret(cluster.api, name);
    assert.equal(found?.metadata.resourceVersion, metadata.resourceVersion);
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

describe("the push Secret", () => {
  test("comes with the annotation and goes with it", async () => {
    await controller.stop();
    await leader.setRegistry(compiledRegistry());
    controller = await startController(counted, leader, { push: true });
    const name = await newNamespace();
    await annotate(name, { "slipway.dev/push": "enabled" });
    const secret = await eventually("a push Secret", () => findSecret(cluster.api, name, "slipway-push"));
    assert.equal(secret.type, type);
    assert.deepEqual(Object.keys(passwordsOf(secret)), ["builds.example.com:5000", "registry.slipway-system.svc"]);
    assert.equal(Buffer.from((secret.data as Record<string, string>)["ca.crt"] ?? "", "base64").toString(), "a PEM");
    await annotate(name, { "slipway.dev/push": null });
    await isAbsent(name, "slipway-push");
  });
});
