import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import type { ClusterApi } from "../cluster/api.ts";
import { createMemoryStore } from "../cluster/memory-store.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { type AccountView, createConfinedAccounts, projectAccount } from "./confined-accounts.ts";

const annotated = { annotations: { "kubernetes.io/enforce-mountable-secrets": "true" } };
const log = pino({ level: "silent" });

function open(read: () => Promise<KubernetesObject>) {
  const accounts = createMemoryStore<AccountView>();
  const api = { get: read } as unknown as ClusterApi;
  const confined = createConfinedAccounts({ accounts, api, log });
  confined.follow(new AbortController().signal);
  return { accounts, confined };
}
const account = (secrets: readonly string[]): KubernetesObject => ({
  metadata: { name: "a", namespace: "n" },
  imagePullSecrets: secrets.map((name) => ({ name })),
});
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("an ordinary account is not confined", () => {
  const { accounts, confined } = open(async () => account([]));
  accounts.set("n/a", projectAccount({ metadata: { name: "a", namespace: "n" } }));
  assert.equal(confined.isConfined("n", "a"), false);
  assert.equal(confined.isConfined("n", "unknown"), false);
});

test("an annotated account is confined until its list is known to name the pull Secret", async () => {
  const { accounts, confined } = open(async () => account(["other", "slipway-pull"]));
  accounts.set("n/a", projectAccount({ metadata: { name: "a", namespace: "n", ...annotated } }));
  assert.equal(confined.isConfined("n", "a"), true);
  await settled();
  assert.equal(confined.isConfined("n", "a"), false);
});

test("an annotated account whose list lacks the pull Secret, or cannot be read, stays confined", async () => {
  for (const read of [async () => account(["other"]), () => Promise.reject(new Error("no"))]) {
    const { accounts, confined } = open(read);
    accounts.set("n/a", projectAccount({ metadata: { name: "a", namespace: "n", ...annotated } }));
    await settled();
    assert.equal(confined.isConfined("n", "a"), true);
  }
});

test("a read that was overtaken by a newer one says nothing", async () => {
  const answers = [Promise.withResolvers<KubernetesObject>(), Promise.withResolvers<KubernetesObject>()];
  let asked = 0;
  const { accounts, confined } = open(() => answers[asked++]?.promise ?? Promise.reject(new Error("too many")));
  const view = projectAccount({ metadata: { name: "a", namespace: "n", ...annotated } });
  accounts.set("n/a", view);
  accounts.set("n/a", view);
  answers[1]?.resolve(account([]));
  await settled();
  answers[0]?.resolve(account(["slipway-pull"]));
  await settled();
  assert.equal(confined.isConfined("n", "a"), true);
});
