import assert from "node:assert/strict";
import test from "node:test";
import { Registry } from "prom-client";
import { createManualClock } from "../../test/fake/clock.ts";
import { compiledCredential, compiledState, observedNamespace } from "../../test/fake/compiled.ts";
import { createMemorySecrets } from "../../test/fake/secret-writer.ts";
import type { SecretState } from "../admission/world.ts";
import { ApiError, type ClusterApi } from "../cluster/api.ts";
import { createMemoryStore } from "../cluster/memory-store.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { untilAborted } from "../cluster/until-aborted.ts";
import type { Compiled } from "../config/compiled.ts";
import { createLog } from "../log.ts";
import { createSecretEnsure, type EnsureRequest } from "./ensure.ts";
import type { ObservedNamespace, ObservedSecret } from "./observed.ts";
import { optInSelection } from "./selection.ts";

/** The metadata by which observeSecret sees `secret` again. */
function metadataOf(secret: ObservedSecret): KubernetesObject {
  const annotations: Record<string, string> = {
    "slipway.dev/revision": String(secret.revision),
    "slipway.dev/content-hash": secret.contentHash ?? "",
    "slipway.dev/namespace-uid": secret.namespaceUid ?? "",
  };
  const prefixed = (keys: readonly string[]) => Object.fromEntries(keys.map((key) => [`f:${key}`, {}]));
  const fieldsV1 = {
    "f:data": prefixed(secret.ownedDataKeys),
    "f:metadata": { "f:annotations": prefixed(Object.keys(annotations)) },
  };
  return {
    metadata: {
      name: secret.name,
      namespace: secret.namespace,
      uid: secret.uid,
      resourceVersion: secret.resourceVersion,
      labels: secret.ours ? { "app.kubernetes.io/managed-by": "slipway" } : {},
      annotations,
      managedFields: [{ manager: "slipway", operation: "Apply", fieldsV1 }],
    },
  };
}

/**
 * A replica of serve beside an API server in memory. What the API has and what the replica's watches have seen are two
 * things here: `follow` lets the watch on Secrets catch up.
 */
function open() {
  const clock = createManualClock();
  const server = createMemorySecrets();
  const namespaces = createMemoryStore<ObservedNamespace>();
  const seen = createMemoryStore<ObservedSecret>();
  const asked: string[] = [];
  let own: Compiled | undefined = compiledState({ revision: 5 });
  let fresh: Compiled | undefined = own;
  let hold: Promise<void> = Promise.resolve();
  let compiledHold: Promise<void> = Promise.resolve();
  let compiledReads = 0;
  let fault: Error | undefined;
  const liveNamespaces = new Map<string, ObservedNamespace>();

  const get = async (
    resource: { readonly kind: string },
    { namespace, name = "" }: { namespace?: string; name?: string },
  ) => {
    asked.push(`${resource.kind} ${namespace ?? name}`);
    await hold;
    if (fault !== undefined) throw fault;
    if (resource.kind === "Namespace") {
      const found = liveNamespaces.get(name);
      if (found !== undefined) return { metadata: { ...found } };
    } else {
      const found = server.store.get(`${namespace}/${name}`);
      if (found !== undefined) return metadataOf(found);
    }
    throw new ApiError({ status: 404, reason: "NotFound", message: "not found" });
  };
  const ensure = createSecretEnsure({
    api: { get } as unknown as ClusterApi,
    writer: server.writer,
    namespaces,
    pullSecrets: seen,
    compiled: () => own,
    readCompiled: async (signal) => {
      compiledReads++;
      await untilAborted(compiledHold, signal);
      if (fresh === undefined) throw new ApiError({ status: 404, reason: "NotFound", message: "not found" });
      return fresh;
    },
    selection: optInSelection,
    clock,
    log: createLog({ level: "silent" }),
    metrics: new Registry(),
  });
  return {
    clock,
    server,
    namespaces,
    seen,
    asked,
    ensure,
    look: (name: string, change: Partial<EnsureRequest> = {}) =>
      ensure.ensure(name, { deadlineMs: clock.monotonicMs() + 4_000, dryRun: false, ...change }),
    compile(next: Compiled | undefined, inApi: Compiled | undefined = next) {
      own = next;
      fresh = inApi;
    },
    exists(name: string, change: Partial<ObservedNamespace> = {}) {
      server.addNamespace(name);
      liveNamespaces.set(name, observedNamespace(name, change));
    },
    add(name: string, change: Partial<ObservedNamespace> = {}) {
      server.addNamespace(name);
      liveNamespaces.set(name, observedNamespace(name, change));
      namespaces.set(name, observedNamespace(name, change));
    },
    follow(name: string) {
      const secret = server.store.get(`${name}/slipway-pull`);
      if (secret === undefined) seen.delete(`${name}/slipway-pull`);
      else seen.set(`${name}/slipway-pull`, secret);
    },
    holdAnswers() {
      const { promise, resolve } = Promise.withResolvers<void>();
      hold = promise;
      return resolve;
    },
    holdCompiled() {
      compiledHold = new Promise(() => {});
      return {
        answerFromNowOn: () => {
          compiledHold = Promise.resolve();
        },
        reads: () => compiledReads,
      };
    },
    failWith(error: Error | undefined) {
      fault = error;
    },
  };
}

const isNow = (answer: SecretState | Promise<SecretState>): SecretState => {
  assert.ok(!(answer instanceof Promise), "the answer has to be asked for");
  return answer;
};
const kindOf = async (answer: SecretState | Promise<SecretState>) => (await answer).kind;

test("in a new namespace it is written before the answer", async () => {
  const { add, look, server } = open();
  add("a");
  assert.equal(await kindOf(look("a")), "ready");
  assert.deepEqual(server.calls, ["apply a"]);
});

test("a namespace that the watch has not shown yet is asked for", async () => {
  const { exists, look, server } = open();
  exists("a");
  assert.equal(await kindOf(look("a")), "ready");
  assert.deepEqual(server.calls, ["apply a"]);
});

test("once seen it is known at once, and nobody is asked", async () => {
  const { add, look, follow, asked } = open();
  add("a");
  await look("a");
  follow("a");
  asked.splice(0);
  for (let time = 0; time < 100; time++) assert.deepEqual(isNow(look("a")), { kind: "ready" });
  assert.deepEqual(asked, []);
});

test("what this replica wrote itself it knows before its watch does, until it sees it deleted", async () => {
  const { add, look, server, follow, asked } = open();
  add("a");
  await look("a");
  asked.splice(0);
  assert.deepEqual(isNow(look("a")), { kind: "ready" });
  assert.deepEqual(asked, []);
  follow("a");
  const { uid = "", resourceVersion = "" } = server.store.get("a/slipway-pull") ?? {};
  await server.writer.remove(
    { namespace: "a", name: "slipway-pull" },
    { uid, resourceVersion },
    new AbortController().signal,
  );
  follow("a");
  assert.equal(await kindOf(look("a")), "ready");
  assert.equal(server.calls.filter((call) => call === "apply a").length, 2);
});

test("a hundred pods at once are one flight", async () => {
  const { add, look, server, asked } = open();
  add("a");
  const answers = await Promise.all(Array.from({ length: 100 }, () => look("a")));
  assert.ok(answers.every(({ kind }) => kind === "ready"));
  assert.deepEqual(server.calls, ["apply a"]);
  assert.deepEqual(asked, [], "a Secret that no watch has shown is not read before it is made");
});

const changed = (revision: number, password: string) =>
  compiledState({ revision, credentials: [compiledCredential("team", { "registry.example.com": password })] });

test("a replica whose watch lags never writes older bytes over newer ones", async () => {
  const { add, look, server, compile } = open();
  add("a");
  compile(changed(7, "new"));
  await look("a");
  const newer = server.contentOf("a");
  const lagging = changed(6, "old");
  compile(lagging, changed(7, "new"));
  server.calls.splice(0);
  assert.equal(await kindOf(look("a")), "ready");
  assert.deepEqual(server.calls, []);
  assert.equal(server.contentOf("a"), newer);
});

test("a replica whose watch lags writes the newest bytes where there are none", async () => {
  const { add, look, server, compile } = open();
  add("a");
  compile(changed(6, "old"), changed(7, "new"));
  assert.equal(await kindOf(look("a")), "ready");
  assert.match(server.contentOf("a") ?? "", /\\"new\\"/);
});

test("new bytes are used from the first moment on: a Secret of an earlier revision is written over", async () => {
  const { add, look, server, compile, follow } = open();
  add("a");
  compile(changed(6, "old"));
  await look("a");
  follow("a");
  compile(changed(7, "new"));
  assert.equal(await kindOf(look("a")), "ready");
  assert.match(server.contentOf("a") ?? "", /\\"new\\"/);
});

test("a namespace made again under the same name gets a Secret for its own uid", async () => {
  const { add, look, server, follow } = open();
  add("a");
  await look("a");
  follow("a");
  const { uid = "", resourceVersion = "" } = server.store.get("a/slipway-pull") ?? {};
  await server.writer.remove(
    { namespace: "a", name: "slipway-pull" },
    { uid, resourceVersion },
    new AbortController().signal,
  );
  add("a", { uid: "made-again" });
  assert.equal(await kindOf(look("a")), "ready");
  assert.equal(server.store.get("a/slipway-pull")?.namespaceUid, "made-again");
});

test("on a dry run nothing is read, written or remembered", () => {
  const { add, look, server, asked, ensure } = open();
  add("a");
  assert.equal(isNow(look("a", { dryRun: true })).kind, "unavailable");
  assert.deepEqual([...server.calls, ...asked, ...ensure.recent()], []);
});

test("a Secret that is not ours is unavailable, and not touched", async () => {
  const { add, look, server, follow } = open();
  add("a");
  await look("a");
  const found = server.store.get("a/slipway-pull") ?? assert.fail();
  server.place({ ...found, ours: false });
  follow("a");
  server.calls.splice(0);
  assert.equal(isNow(look("a")).kind, "unavailable");
  assert.deepEqual(server.calls, []);
});

test("one that somebody changed is left to the controller", async () => {
  const { add, look, server, follow } = open();
  add("a");
  await look("a");
  server.edit("a");
  follow("a");
  server.calls.splice(0);
  assert.equal(isNow(look("a")).kind, "unavailable");
  assert.deepEqual(server.calls, []);
});

test("nothing to put in it is empty, and no Secret", () => {
  const { add, look, compile, server } = open();
  add("a");
  compile(compiledState({ credentials: [] }));
  assert.deepEqual(isNow(look("a")), { kind: "empty" });
  assert.deepEqual(server.calls, []);
});

test("before anything was compiled nothing is written", async () => {
  const { add, look, compile, server } = open();
  add("a");
  compile(undefined);
  assert.equal(await kindOf(look("a")), "unavailable");
  assert.deepEqual(server.calls, []);
});

for (const [name, change] of [
  ["that is not opted in", { labels: {} }],
  ["that is terminating", { terminating: true }],
] as const) {
  test(`in a namespace ${name} nothing is written`, async () => {
    const { namespaces, look, server } = open();
    namespaces.set("a", observedNamespace("a", change));
    assert.equal(await kindOf(look("a")), "unavailable");
    assert.deepEqual(server.calls, []);
  });
}

test("a refusal is remembered: the API is not asked at each pod, ever later, and anew when something changes", async () => {
  const { add, look, server, clock, asked } = open();
  add("a");
  const refusal = { kind: "forbidden", reason: "QuotaExceeded", message: "exceeded quota" } as const;
  for (const pauseMs of [500, 1_000, 2_000]) {
    server.failNext("a", refusal);
    const reason = "the API server refuses it (QuotaExceeded)";
    assert.deepEqual(await look("a"), { kind: "unavailable", reason });
    asked.splice(0);
    await clock.advance(pauseMs - 1);
    assert.equal(isNow(look("a")).kind, "unavailable");
    assert.deepEqual(asked, []);
    await clock.advance(1);
  }
  server.failNext("a", refusal);
  assert.equal(await kindOf(look("a")), "unavailable");
  add("a", { annotations: { touched: "yes" } });
  assert.equal(await kindOf(look("a")), "ready");
});

test("what another replica wrote meanwhile counts", async () => {
  const { add, look, server } = open();
  add("a");
  await look("a");
  const other = open();
  other.add("a");
  const theirs = server.store.get("a/slipway-pull") ?? assert.fail();
  other.server.place(theirs);
  assert.equal(await kindOf(other.look("a")), "ready");
  assert.deepEqual(other.server.calls, ["apply a"], "the write that finds it there, and no other");
  assert.deepEqual(other.server.store.get("a/slipway-pull"), theirs);
});

test("a stale answer is looked at once more", async () => {
  const { add, look, server } = open();
  add("a");
  server.failNext("a", { kind: "stale" });
  assert.equal(await kindOf(look("a")), "ready");
  assert.deepEqual(server.calls, ["apply a", "apply a"]);
});

test("an API server that does not answer costs 800 ms and blocks nothing", async () => {
  const { exists, look, clock, holdAnswers } = open();
  exists("a");
  const release = holdAnswers();
  const answer = look("a");
  assert.ok(answer instanceof Promise);
  await clock.advance(799);
  const early = await Promise.race([answer, Promise.resolve("pending")]);
  assert.equal(early, "pending");
  await clock.advance(1);
  const reason = "it could not be looked at in 800 ms";
  assert.deepEqual(await answer, { kind: "unavailable", reason, isPassing: true });
  release();
});

test("a read of the compiled credentials that hangs costs those who came after it a tenth of a second", async () => {
  const { add, look, clock, holdCompiled } = open();
  for (const name of ["a", "b", "c"]) add(name);
  const held = holdCompiled();
  const first = look("a");
  const others = [look("b"), look("c")];
  await clock.advance(0); // the first has asked
  held.answerFromNowOn();
  await clock.advance(100);
  assert.deepEqual(await Promise.all(others.map(kindOf)), ["ready", "ready"]);
  assert.equal(held.reads(), 2);
  await clock.advance(700);
  assert.equal(await kindOf(first), "unavailable");
});

test("a caller with less time goes on alone, the flight ends for the others", async () => {
  const { exists, look, clock, holdAnswers } = open();
  exists("a");
  const release = holdAnswers();
  const hasty = look("a", { deadlineMs: clock.monotonicMs() + 100 });
  const patient = look("a");
  await clock.advance(100);
  assert.equal(await kindOf(hasty), "unavailable");
  release();
  assert.equal(await kindOf(patient), "ready");
});

test("an API server that fails is unavailable, never an exception", async () => {
  const { exists, look, failWith, clock } = open();
  exists("a");
  failWith(new ApiError({ status: 500, reason: "InternalError", message: "a fault" }));
  assert.equal(await kindOf(look("a")), "unavailable");
  failWith(undefined);
  await clock.advance(500);
  assert.equal(await kindOf(look("a")), "ready");
});

test("namespaces with recent admissions are remembered, the latest first, at most a thousand", async () => {
  const { add, look, ensure, compile } = open();
  compile(compiledState({ credentials: [] }));
  for (let index = 0; index < 1_005; index++) {
    add(`n${index}`);
    await look(`n${index}`);
  }
  await look("n10");
  assert.deepEqual(ensure.recent().slice(0, 2), ["n10", "n1004"]);
  assert.equal(ensure.recent().length, 1_000);
});
