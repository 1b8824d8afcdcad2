import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { Registry } from "prom-client";
import { systemClock } from "../clock.ts";
import type { ClusterApi } from "../cluster/api.ts";
import { createMemoryStore } from "../cluster/memory-store.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { Compiled } from "../config/compiled.ts";
import { createCredentialFinalizer, credentialFinalizer } from "./credential-finalizer.ts";

const foreign = "example.com/keep";
const credential = (name: string) => ({ name, namespaceSelector: null, injection: "Always" as const, auths: {} });

async function run(parts: {
  readonly metadata: Partial<KubernetesObject["metadata"]>;
  readonly compiled: readonly string[];
  readonly reached: () => boolean;
  readonly until: (written: readonly (readonly string[])[]) => boolean;
}): Promise<readonly (readonly string[])[]> {
  const pullCredentials = createMemoryStore<KubernetesObject>([
    ["hub", { metadata: { name: "hub", ...parts.metadata } }],
  ]);
  const stop = new AbortController();
  const written: (readonly string[])[] = [];
  const api = {
    merge: async (_resource: unknown, _address: unknown, patch: { metadata: { finalizers: string[] } }) => {
      written.push(patch.metadata.finalizers);
      if (parts.until(written)) stop.abort();
      return { metadata: { name: "hub" } };
    },
  } as unknown as ClusterApi;
  const compiled: Compiled = { revision: 7, registry: null, credentials: parts.compiled.map(credential), rewrites: [] };
  const finalizer = createCredentialFinalizer({
    pullCredentials,
    compiled: () => compiled,
    progress: { hasReached: parts.reached },
    api,
    clock: systemClock,
    random: () => 0,
    log: pino({ level: "silent" }),
    metrics: new Registry(),
  });
  await finalizer.run(stop.signal);
  return written;
}

test("a PullCredential gets the finalizer beside those that it has", async () => {
  const written = await run({
    metadata: { finalizers: [foreign] },
    compiled: ["hub"],
    reached: () => true,
    until: () => true,
  });
  assert.deepEqual(written, [[foreign, credentialFinalizer]]);
});

test("one that is being deleted keeps it until every namespace is without its logins", async () => {
  let asked = 0;
  const written = await run({
    metadata: { finalizers: [foreign, credentialFinalizer], deletionTimestamp: "2026-01-01T00:00:00Z" },
    compiled: [],
    reached: () => ++asked > 1,
    until: () => true,
  });
  assert.deepEqual(written, [[foreign]]);
  assert.equal(asked, 2);
});
