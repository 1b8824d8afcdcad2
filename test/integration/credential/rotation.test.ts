import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { unlessMissing } from "../../../src/cluster/unless-missing.ts";
import { deriveLogin } from "../../../src/credential/login.ts";
import { type KeyRotation, parseKeyRotation } from "../../../src/registry/key-rotation.ts";
import { readRegistryKeys } from "../../../src/registry/keys.ts";
import { type FakeApi, startFakeApi, statusOf } from "../../fake/api-server.ts";
import {
  createNamespace,
  findSecret,
  installTypes,
  passwordsOf,
  startTestCluster,
  type TestCluster,
  waitMs,
} from "./cluster.ts";
import { dockerConfig, putSource } from "./controller.ts";
import { type LeaderSettings, type RunningLeader, startLeader, within } from "./leader.ts";

// Rotation with leaders that change in the middle of it, and gateways that accept a generation when the test says so.

const signal = AbortSignal.timeout(600_000);
const host = "builds.example.com:5000";
const keysAddress = { namespace: "slipway-system", name: "slipway-registry-keys" };
const spaces = ["one", "two", "three", "four", "stuck"];

let cluster: TestCluster;
let proxy: FakeApi;
let leader: RunningLeader;
let accepted: ReadonlySet<number> = new Set([1]);
const settings: LeaderSettings = { keyGraceMs: 500, accepted: () => accepted };
before(async () => {
  cluster = await startTestCluster();
  await installTypes(cluster);
  proxy = await startFakeApi([], { upstream: cluster.kubeconfigPath });
  const spec = { external: { url: `https://${host}` }, nodeAccess: "External" };
  await cluster.api.create(resources.localRegistries, { metadata: { name: "default" }, spec }, { signal });
  for (const name of spaces) await createNamespace(cluster.api, name);
  leader = startLeader(proxy.kubeconfig, settings);
});
after(async () => {
  await leader.stop();
  await proxy.close();
  await cluster.stop();
});

const changeLeader = async () => {
  await leader.stop();
  leader = startLeader(proxy.kubeconfig, settings);
};
const readKeys = async () =>
  readRegistryKeys(await unlessMissing(cluster.api.get(resources.secrets, keysAddress, signal))) ?? [];

/** The generation of the login that a namespace holds; undefined without a login. */
async function generationIn(name: string): Promise<number | undefined> {
  const [{ metadata }, secret, keys] = await Promise.all([
    cluster.api.get(resources.namespaces, { name }, signal),
    findSecret(cluster.api, name),
    readKeys(),
  ]);
  const subject = { purpose: "pull", namespace: name, uid: metadata.uid ?? "" } as const;
  const password = passwordsOf(secret)[host];
  return keys.find((key) => deriveLogin(key, subject).password === password)?.generation;
}

const generations = async () => Promise.all(spaces.map(generationIn));
const are = (want: readonly number[]) =>
  within(waitMs, `the namespaces hold logins of the generations ${want}`, async () =>
    JSON.stringify(await generations()) === JSON.stringify(want) ? true : undefined,
  );
const isIn = (phase: KeyRotation["phase"], look: (rotation: KeyRotation) => boolean = () => true) =>
  within(waitMs, `the rotation is ${phase}`, async () => {
    const { metadata } = await cluster.api.get(resources.secrets, keysAddress, signal);
    const rotation = parseKeyRotation(metadata.annotations?.["slipway.dev/rotation"]);
    return rotation?.phase === phase && look(rotation) ? rotation : undefined;
  });
/** Several of the leader's looks, in which nothing may happen. */
const pause = () => systemClock.sleep(1_500, signal);

test("a rotation outlives two leaders: accepted by all, then handed out, and the previous one goes last", async () => {
  await are([1, 1, 1, 1, 1]);
  const annotations = { "slipway.dev/rotate": "please" };
  await cluster.api.merge(resources.secrets, keysAddress, { metadata: { annotations } }, signal);
  await isIn("accepting");
  const begun = await readKeys();
  assert.deepEqual(
    begun.map(({ generation }) => generation),
    [2, 1],
  );
  assert.notEqual(begun[0]?.secret, begun[1]?.secret);

  // Not every gateway has it: nobody gets it, from the next leader neither, which begins no third one.
  await pause();
  await changeLeader();
  await isIn("accepting");
  await pause();
  assert.deepEqual(await generations(), [1, 1, 1, 1, 1]);
  assert.deepEqual(await readKeys(), begun);

  // All have it; one namespace cannot be written, which holds back no other and keeps the previous one accepted.
  const write = "PATCH /api/v1/namespaces/stuck/secrets/slipway-pull";
  proxy.use({ on: write, reply: statusOf(500) });
  accepted = new Set([1, 2]);
  await are([2, 2, 2, 2, 1]);
  const held = await isIn("spreading", ({ synced, failing }) => synced === 4 && failing.length > 0);
  assert.deepEqual([held.total, held.failing], [5, [{ name: "stuck", reason: "WriteFailed" }]]);
  await changeLeader();
  await pause();
  assert.deepEqual(await readKeys(), begun, "the previous one is accepted for as long as somebody holds it");
  assert.deepEqual(await generations(), [2, 2, 2, 2, 1]);

  proxy.drop(write);
  await are([2, 2, 2, 2, 2]);
  const done = await isIn("done");
  assert.deepEqual([done.generation, done.synced, done.total], [2, 5, 5]);
  assert.deepEqual(await readKeys(), begun.slice(0, 1));
});

test("a namespace with a recent admission is written before the others", async () => {
  await putSource(cluster.api, "one", dockerConfig({ "x.example.com": "1" }));
  const spec = { sources: [{ secretRef: { name: "one" } }] };
  await cluster.api.create(resources.pullCredentials, { metadata: { name: "a" }, spec }, { signal });
  const many = Array.from({ length: 100 }, (_, index) => `many-${String(index).padStart(3, "0")}`);
  for (const name of many) await createNamespace(cluster.api, name);
  const reaches = (password: string) =>
    within(waitMs, `all have ${password}`, async () => {
      const secrets = await Promise.all(many.map((name) => findSecret(cluster.api, name)));
      return secrets.every((secret) => passwordsOf(secret)["x.example.com"] === password) ? true : undefined;
    });
  await reaches("1");
  const recent = ["many-099", "many-042", "many-077"];
  for (const name of recent) {
    const request = { deadlineMs: systemClock.monotonicMs() + 4_000, dryRun: false };
    assert.deepEqual(await leader.replica.ensure.ensure(name, request), { kind: "ready" });
  }
  // Twenty are written at once: they are held up, so that which comes next is not up to their connections.
  const writes = [...spaces, ...many].map((name) => `PATCH /api/v1/namespaces/${name}/secrets/slipway-pull`);
  for (const on of writes) proxy.use({ on, fault: "hang" });
  const from = proxy.requests.length;
  await putSource(cluster.api, "one", dockerConfig({ "x.example.com": "2" }));
  const begun = await within(waitMs, "twenty writes have begun", () => {
    const found = proxy.requests
      .slice(from)
      .filter(({ method, path }) => method === "PATCH" && path.endsWith("/secrets/slipway-pull"))
      .map(({ path }) => path.split("/")[4]);
    return found.length >= 20 ? found : undefined;
  });
  for (const on of writes) proxy.drop(on);
  proxy.cut();
  assert.equal(begun.length, 20);
  for (const name of recent) assert.ok(begun.includes(name), `${name} is not among ${begun.join(", ")}`);
  await reaches("2");
});
