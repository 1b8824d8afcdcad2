import assert from "node:assert/strict";
import test from "node:test";
import { Registry } from "prom-client";
import { compiledState } from "../../test/fake/compiled.ts";
import { systemClock } from "../clock.ts";
import type { ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { Compiled } from "../config/compiled.ts";
import { compiledSecret, readCompiled } from "../config/compiled-secret.ts";
import { createLog } from "../log.ts";
import { type CompilerInput, createCompiler } from "./compiler.ts";

const nothing: CompilerInput = {
  registry: undefined,
  mode: () => null,
  ca: () => null,
  keys: [],
  accepted: undefined,
  externalLogin: () => undefined,
  pullCredentials: [],
  rewrites: [],
  secret: () => undefined,
  file: () => undefined,
};

/** Runs the compiler once over what was observed. @returns the compiled state that it wrote, if any */
async function compileOnce(found: {
  readonly secret: KubernetesObject | undefined;
  readonly compiled: Compiled | undefined;
  readonly highest: number;
}): Promise<Compiled | undefined> {
  let stored: KubernetesObject | undefined;
  const apply: ClusterApi["apply"] = async (_resource, object) => {
    // Of two leaders that overlap only one may write, the first Secret of all included.
    assert.equal(object.metadata.resourceVersion, found.secret?.metadata.resourceVersion ?? "1");
    stored = { ...object, metadata: { ...object.metadata, resourceVersion: "9" } };
    return stored;
  };
  const stop = new AbortController();
  const compiler = createCompiler({
    read: () => nothing,
    observed: () => ({ secret: found.secret, compiled: found.compiled }),
    highestRevision: () => found.highest,
    api: { apply } as Partial<ClusterApi> as ClusterApi,
    namespace: "slipway-system",
    clock: systemClock,
    random: () => 0,
    log: createLog({ level: "silent" }),
    metrics: new Registry(),
  });
  const compiled = Promise.withResolvers<void>();
  compiler.onCompiled(compiled.resolve);
  const running = compiler.run(stop.signal);
  await compiled.promise;
  stop.abort();
  await running;
  return readCompiled(stored);
}

const empty = compiledState({ revision: 7, credentials: [] });
const withVersion = (secret: KubernetesObject): KubernetesObject => ({
  ...secret,
  metadata: { ...secret.metadata, resourceVersion: "3" },
});

test("without a previous state, counting starts above what any Secret was written from", async () => {
  const written = await compileOnce({ secret: undefined, compiled: undefined, highest: 41 });
  assert.equal(written?.revision, 42);
});

test("the first state of all is revision 1", async () => {
  const written = await compileOnce({ secret: undefined, compiled: undefined, highest: 0 });
  assert.equal(written?.revision, 1);
});

test("the same content is not written again", async () => {
  const secret = withVersion(compiledSecret(empty));
  assert.equal(await compileOnce({ secret, compiled: empty, highest: 7 }), undefined);
});

test("a lost Secret is written anew from what is in memory, under a higher revision", async () => {
  const written = await compileOnce({ secret: undefined, compiled: empty, highest: 7 });
  assert.equal(written?.revision, 8);
});

test("a damaged Secret is written anew, too", async () => {
  const damaged = withVersion({ ...compiledSecret(empty), data: { "compiled.json": "e30=" } });
  const written = await compileOnce({ secret: damaged, compiled: empty, highest: 7 });
  assert.equal(written?.revision, 8);
});
