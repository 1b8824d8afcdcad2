import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Registry } from "prom-client";
import { systemClock } from "../../../src/clock.ts";
import { createAccessReviewer } from "../../../src/cluster/access-review.ts";
import { ApiError, type ClusterApi } from "../../../src/cluster/api.ts";
import { createEventRecorder } from "../../../src/cluster/event.ts";
import { createClusterApi } from "../../../src/cluster/kubernetes-api.ts";
import { createLease } from "../../../src/cluster/lease.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { createTokenRequester } from "../../../src/cluster/token-request.ts";
import { createTokenReviewer } from "../../../src/cluster/token-review.ts";
import { createLog } from "../../../src/log.ts";
import { startFakeApi } from "../../fake/api-server.ts";
import { type RealApiServer, signal, startRealApiServer } from "./api-server.ts";

const log = createLog({ level: "silent" });
const { configMaps, secrets, serviceAccounts, leases, events, nodes } = resources;

describe("a real API server", () => {
  let server: RealApiServer;
  before(async () => {
    server = await startRealApiServer();
  });
  after(() => server.stop());

  const statusOf = async (task: Promise<unknown>): Promise<[number, string]> => {
    try {
      await task;
    } catch (error) {
      assert.ok(error instanceof ApiError);
      return [error.status, error.reason];
    }
    return [200, ""];
  };

  test("apply creates, changes, and changes nothing the second time", async () => {
    const namespace = await server.createNamespace();
    const apply = (data: Record<string, string>) =>
      server.api.apply(configMaps, { metadata: { namespace, name: "a" }, data }, { signal });
    const created = await apply({ k: "1" });
    const again = await apply({ k: "1" });
    assert.equal(again.metadata.resourceVersion, created.metadata.resourceVersion);
    const changed = await apply({ k: "2" });
    assert.notEqual(changed.metadata.resourceVersion, created.metadata.resourceVersion);
    const managers = changed.metadata.managedFields as readonly { manager: string; operation: string }[];
    assert.deepEqual(
      managers.map(({ manager, operation }) => [manager, operation]),
      [["slipway", "Apply"]],
    );
  });

  test("a field of another manager is a conflict that says so, unless forced", async () => {
    const namespace = await server.createNamespace();
    await server.transport.json({
      method: "POST",
      path: `/api/v1/namespaces/${namespace}/configmaps`,
      query: { fieldManager: "someone" },
      body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" }, data: { k: "theirs" } },
      signal,
    });
    const ours = { metadata: { namespace, name: "a" }, data: { k: "ours" } };
    const conflict = await server.api.apply(configMaps, ours, { signal }).catch((error: unknown) => error);
    assert.ok(conflict instanceof ApiError);
    assert.deepEqual([conflict.status, conflict.causes], [409, ["FieldManagerConflict"]]);
    const forced = await server.api.apply(configMaps, ours, { force: true, signal });
    assert.deepEqual(forced.data, ours.data);
  });

  test("an apply with a uid never creates anew what was deleted", async () => {
    const namespace = await server.createNamespace();
    const object = { metadata: { namespace, name: "a" }, data: {} };
    const { uid = "" } = (await server.api.apply(configMaps, object, { signal })).metadata;
    await server.api.delete(configMaps, { namespace, name: "a" }, { signal });
    const stale = { ...object, metadata: { ...object.metadata, uid } };
    assert.equal((await statusOf(server.api.apply(configMaps, stale, { signal })))[0], 409);
  });

  test("a dry run leaves nothing behind", async () => {
    const namespace = await server.createNamespace();
    await server.api.apply(configMaps, { metadata: { namespace, name: "a" } }, { dryRun: true, signal });
    assert.deepEqual(await statusOf(server.api.get(configMaps, { namespace, name: "a" }, signal)), [404, "NotFound"]);
  });

  test("delete respects uid and resourceVersion, also through the proxy of the tests that plant faults", async () => {
    const proxy = await startFakeApi([], { upstream: server.controlPlane.kubeconfigPath });
    try {
      for (const api of [server.api, createClusterApi(server.connect(proxy.kubeconfig))]) await deletesWhatWasSeen(api);
    } finally {
      await proxy.close();
    }
  });
  const deletesWhatWasSeen = async (api: ClusterApi): Promise<void> => {
    const namespace = await server.createNamespace();
    const address = { namespace, name: "a" };
    const { metadata } = await api.create(configMaps, { metadata: address }, { signal });
    const wrongUid = { preconditions: { uid: "other" }, signal };
    assert.deepEqual(await statusOf(api.delete(configMaps, address, wrongUid)), [409, "Conflict"]);
    const wrongVersion = { preconditions: { resourceVersion: "1" }, signal };
    assert.deepEqual(await statusOf(api.delete(configMaps, address, wrongVersion)), [409, "Conflict"]);
    const { uid = "", resourceVersion = "" } = metadata;
    await api.delete(configMaps, address, { preconditions: { uid, resourceVersion }, signal });
  };

  test("a replace with an old version is a conflict, a merge keeps the rest", async () => {
    const namespace = await server.createNamespace();
    const object = { metadata: { namespace, name: "a" }, data: { a: "1", b: "1" } };
    const created = await server.api.create(configMaps, object, { signal });
    const merged = await server.api.merge(configMaps, { namespace, name: "a" }, { data: { a: null, c: "2" } }, signal);
    assert.deepEqual(merged.data, { b: "1", c: "2" });
    assert.deepEqual(await statusOf(server.api.replace(configMaps, created, { signal })), [409, "Conflict"]);
  });

  test("a status is written through its subresource only", async () => {
    await server.api.create(nodes, { metadata: { name: "n" } }, { signal });
    const phase = { conditions: [{ type: "Planted", status: "True" }] };
    const applied = await server.api.apply(
      nodes,
      { metadata: { name: "n" }, status: phase },
      { subresource: "status", signal },
    );
    assert.ok(JSON.stringify(applied.status).includes("Planted"));
  });

  test("a list of 1,100 objects comes in pages and whole", async () => {
    const namespace = await server.createNamespace();
    const names = Array.from({ length: 1_100 }, (_, index) => `c${index}`);
    const create = (name: string) => server.api.create(configMaps, { metadata: { namespace, name } }, { signal });
    for (let at = 0; at < names.length; at += 50) await Promise.all(names.slice(at, at + 50).map(create));
    const own = { namespace, fieldSelector: "metadata.name!=kube-root-ca.crt" };
    assert.equal((await server.api.list(configMaps, own, signal)).length, 1_100);
    const partial = await server.api.list(configMaps, { ...own, metadataOnly: true }, signal);
    assert.equal(partial.length, 1_100);
    assert.equal(partial[0]?.kind, "PartialObjectMetadata");
    assert.deepEqual(await server.api.list(secrets, { namespace, metadataOnly: true }, signal), []);
  });

  test("a token is requested, and accepted for its audience only", async () => {
    const namespace = await server.createNamespace();
    await server.api.create(serviceAccounts, { metadata: { namespace, name: "robot" } }, { signal });
    const account = { namespace, name: "robot" };
    const { token, expirationTimestamp } = await createTokenRequester(server.api).request(account, {
      audiences: ["slipway"],
      expirationSeconds: 600,
      signal,
    });
    assert.ok(Date.parse(expirationTimestamp) > Date.now());
    const reviewer = createTokenReviewer(server.api);
    const verdict = await reviewer.review(token, "slipway", signal);
    assert.ok(verdict.kind === "authenticated");
    assert.equal(verdict.username, `system:serviceaccount:${namespace}:robot`);
    assert.ok(verdict.groups.includes(`system:serviceaccounts:${namespace}`));
    assert.notEqual(verdict.uid, "");
    assert.deepEqual(verdict.audiences, ["slipway"]);
    assert.deepEqual(await reviewer.review(token, "slipway-agent", signal), { kind: "refused" });
    assert.deepEqual(await reviewer.review(`${token}x`, "slipway", signal), { kind: "refused" });
  });

  test("a token that has just been replaced on disk is used without a restart", async (t) => {
    const namespace = await server.createNamespace();
    const request = async (name: string) => {
      await server.api.create(serviceAccounts, { metadata: { namespace, name } }, { signal });
      const options = { audiences: [], signal };
      return (await createTokenRequester(server.api).request({ namespace, name }, options)).token;
    };
    const folder = await mkdtemp(join(tmpdir(), "slipway-test-"));
    t.after(() => rm(folder, { recursive: true }));
    const tokenFile = join(folder, "token");
    await writeFile(tokenFile, "not-a-token\n");
    const kubeconfig = join(folder, "kubeconfig");
    await writeFile(kubeconfig, describeTokenFile(server, tokenFile));
    let laterMs = 0;
    const clock = { ...systemClock, monotonicMs: () => performance.now() + laterMs };
    const api = createClusterApi(server.connect(kubeconfig, clock));
    const attempt = () => statusOf(api.get(configMaps, { namespace, name: "a" }, signal));
    assert.deepEqual(await attempt(), [401, "Unauthorized"]);
    await writeFile(tokenFile, `${await request("robot")}\n`);
    laterMs = 6_000;
    assert.deepEqual(await attempt(), [403, "Forbidden"]);
  });

  test("access is what RBAC says", async () => {
    const namespace = await server.createNamespace();
    const reviewer = createAccessReviewer(server.api);
    const resourceAttributes = { namespace, verb: "get", group: "registry.slipway.dev", resource: "repositories" };
    assert.equal(await reviewer.review({ user: "nobody", resourceAttributes }, signal), false);
    assert.equal(await reviewer.review({ user: "root", groups: ["system:masters"], resourceAttributes }, signal), true);
  });

  test("an Event is accepted, about namespaced and cluster-scoped objects, and a repetition counts", async () => {
    const namespace = await server.createNamespace();
    let nowMs = 0;
    const clock = { ...systemClock, monotonicMs: () => nowMs };
    const recorder = createEventRecorder({
      api: server.api,
      reportingController: "slipway.dev/serve",
      reportingInstance: "serve-0",
      clock,
      log,
      metrics: new Registry(),
    });
    const about = { apiVersion: "v1", kind: "Secret", name: "slipway-pull", namespace };
    const event = { regarding: about, type: "Warning", reason: "SecretNotOurs", action: "ApplySecret" } as const;
    recorder.record({ ...event, note: "ä".repeat(2_000) });
    recorder.record({ ...event, note: "short", regarding: { apiVersion: "v1", kind: "Node", name: "Ünode_1" } });
    await recorder.flush();
    nowMs += 60_000;
    recorder.record({ ...event, note: "ä".repeat(2_000) });
    await recorder.flush();
    const [first, ...others] = await server.api.list(events, { namespace }, signal);
    assert.equal(others.length, 0);
    assert.ok(String(first?.note).endsWith("…"));
    assert.deepEqual((first?.series as { count?: number } | undefined)?.count, 2);
    const elsewhere = await server.api.list(events, { namespace: "default" }, signal);
    assert.ok(elsewhere.some(({ note }) => note === "short"));
  });

  test("a lease is created, held by one of two, and handed over at a stop", async () => {
    const namespace = await server.createNamespace();
    const order: string[] = [];
    const candidate = (identity: string) => {
      const end = new AbortController();
      const leads = Promise.withResolvers<void>();
      const lease = createLease({
        api: server.api,
        namespace,
        name: "slipway",
        identity,
        clock: systemClock,
        random: Math.random,
        log,
        metrics: new Registry(),
        async lead(leading) {
          order.push(`${identity} begins`);
          leads.resolve();
          await new Promise((resolve) => leading.addEventListener("abort", resolve, { once: true }));
          order.push(`${identity} ends`);
        },
      });
      const running = lease.run(end.signal);
      return {
        lease,
        leads: leads.promise,
        async stop() {
          end.abort();
          await running;
        },
      };
    };
    const one = candidate("one");
    await one.leads;
    const two = candidate("two");
    const held = await server.api.get(leases, { namespace, name: "slipway" }, signal);
    assert.match(String((held.spec as { renewTime: string }).renewTime), /\.\d{6}Z$/);
    assert.deepEqual([one.lease.isLeader(), two.lease.isLeader()], [true, false]);
    await one.stop();
    await two.leads;
    await two.stop();
    assert.deepEqual(order, ["one begins", "one ends", "two begins", "two ends"]);
    const released = await server.api.get(leases, { namespace, name: "slipway" }, signal);
    assert.equal((released.spec as { holderIdentity?: string }).holderIdentity ?? "", "");
  });
});

function describeTokenFile({ transport, controlPlane }: RealApiServer, tokenFile: string): string {
  const name = "token-file";
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { server: transport.server, "certificate-authority": controlPlane.caFile } }],
    users: [{ name, user: { "auth-provider": { name: "tokenFile", config: { tokenFile } } } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    "current-context": name,
  });
}
