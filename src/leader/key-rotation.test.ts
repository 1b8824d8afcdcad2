import assert from "node:assert/strict";
import test from "node:test";
import { Registry } from "prom-client";
import { createManualClock } from "../../test/fake/clock.ts";
import { compiledRegistry, compiledState } from "../../test/fake/compiled.ts";
import type { ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { Compiled } from "../config/compiled.ts";
import { keyRotationAnnotation, rotateKeyAnnotation } from "../config/names.ts";
import { createLog } from "../log.ts";
import type { ObservedSecret } from "../namespace/observed.ts";
import type { RevisionReach } from "../namespace/progress.ts";
import { parseKeyRotation } from "../registry/key-rotation.ts";
import { readRegistryKeys, writeRegistryKeys } from "../registry/keys.ts";
import { createKeyRotation } from "./key-rotation.ts";

const encode = (text: string) => Buffer.from(text).toString("base64");
const oldKey = { generation: 1, secret: Buffer.alloc(32, 1).toString("base64") };
const ours = (namespace: string, revision: number): ObservedSecret => ({
  namespace,
  name: "slipway-pull",
  uid: "u",
  resourceVersion: "1",
  ours: true,
  deleting: false,
  revision,
  contentHash: "h",
  namespaceUid: "n",
  ownedDataKeys: [".dockerconfigjson"],
});

/** A key of one generation, handed out at revision 5, and one namespace whose Secret holds a login of it. */
function open() {
  const clock = createManualClock();
  let secret: KubernetesObject = {
    metadata: { name: "slipway-registry-keys", namespace: "slipway-system", resourceVersion: "1", annotations: {} },
    data: { "keys.json": encode(writeRegistryKeys([oldKey])) },
  };
  let compiled: Compiled = compiledState({
    revision: 5,
    registry: compiledRegistry({ login: { kind: "namespace", key: oldKey } }),
  });
  let reach: RevisionReach = { total: 1, behind: [] };
  let held = [ours("team", 5)];
  const merge: ClusterApi["merge"] = async (_resource, _address, patch) => {
    const { metadata, data } = patch as { metadata: KubernetesObject["metadata"]; data?: object };
    const annotations = { ...secret.metadata.annotations, ...metadata.annotations };
    secret = { ...secret, metadata: { ...secret.metadata, annotations }, ...(data === undefined ? {} : { data }) };
    return secret;
  };
  const rotation = createKeyRotation({
    secret: () => secret,
    compiled: () => compiled,
    progress: { reach: () => reach },
    secretsOf: () => held,
    api: { merge } as Partial<ClusterApi> as ClusterApi,
    graceMs: 10_000,
    randomBytes: (size) => Buffer.alloc(size, 2),
    clock,
    random: () => 0,
    log: createLog({ level: "silent" }),
    metrics: new Registry(),
  });
  const stop = new AbortController();
  const running = rotation.run(stop.signal);
  return {
    clock,
    request(value: string) {
      const annotations = { ...secret.metadata.annotations, [rotateKeyAnnotation]: value };
      secret = { ...secret, metadata: { ...secret.metadata, annotations } };
      rotation.touch();
    },
    /** The compiler hands the newest generation out. */
    handOut() {
      const key = readRegistryKeys(secret)?.[0] ?? oldKey;
      compiled = { ...compiled, revision: 6, registry: compiledRegistry({ login: { kind: "namespace", key } }) };
    },
    observe(next: { readonly reach: RevisionReach; readonly held: readonly ObservedSecret[] }) {
      reach = next.reach;
      held = [...next.held];
    },
    now: () => {
      const record = parseKeyRotation(secret.metadata.annotations?.[keyRotationAnnotation]);
      return { phase: record?.phase, failing: record?.failing, generations: readRegistryKeys(secret)?.length };
    },
    async end() {
      stop.abort();
      await running;
    },
  };
}

const behind = (reason?: string): RevisionReach => ({
  total: 1,
  behind: [reason === undefined ? { name: "team" } : { name: "team", reason }],
});

test("the previous generation stays until every namespace is on the new one, and a little longer", async () => {
  const { clock, request, handOut, observe, now, end } = open();
  request("a");
  await clock.advance(1_000);
  assert.deepEqual(now(), { phase: "accepting", failing: [], generations: 2 });
  observe({ reach: behind(), held: [ours("team", 5)] });
  handOut();
  await clock.advance(1_000);
  assert.deepEqual(now(), { phase: "spreading", failing: [], generations: 2 });
  observe({ reach: { total: 1, behind: [] }, held: [ours("team", 6)] });
  await clock.advance(5_000);
  assert.deepEqual(now(), { phase: "settling", failing: [], generations: 2 });
  await clock.advance(6_000);
  assert.deepEqual(now(), { phase: "done", failing: [], generations: 1 });
  await end();
});

test("a namespace that cannot be written holds it up, and is named", async () => {
  const { clock, request, handOut, observe, now, end } = open();
  request("a");
  await clock.advance(1_000);
  observe({ reach: behind("PolicyDenied"), held: [ours("team", 5)] });
  handOut();
  await clock.advance(60_000);
  const failing = [{ name: "team", reason: "PolicyDenied" }];
  assert.deepEqual(now(), { phase: "spreading", failing, generations: 2 });
  await end();
});

test("where no Secret of ours is, no login is waited for", async () => {
  const { clock, request, handOut, observe, now, end } = open();
  request("a");
  await clock.advance(1_000);
  observe({ reach: behind("ForeignSecret"), held: [{ ...ours("team", 5), ours: false }] });
  handOut();
  await clock.advance(60_000);
  assert.equal(now().phase, "done");
  await end();
});

test("nothing happens without a request, and one request is one rotation", async () => {
  const { clock, request, handOut, now, end } = open();
  await clock.advance(60_000);
  assert.deepEqual(now(), { phase: undefined, failing: undefined, generations: 1 });
  request("a");
  await clock.advance(1_000);
  handOut();
  await clock.advance(60_000);
  assert.equal(now().phase, "done");
  request("a");
  await clock.advance(60_000);
  assert.deepEqual([now().phase, now().generations], ["done", 1]);
  await end();
});
