import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { ApiError } from "../cluster/api.ts";
import { createMemoryStore } from "../cluster/memory-store.ts";
import type { TokenVerdict } from "../cluster/token-review.ts";
import { createAccounts } from "./account.ts";

const signal = new AbortController().signal;
const builder = { namespace: "team-a", name: "builder", uid: "uid-a" };
const question = { verb: "pull", namespace: "team-b", name: "app" } as const;

function start() {
  const clock = createManualClock();
  const asked = { tokens: 0, access: [] as unknown[] };
  const answers: { token: () => TokenVerdict; access: () => boolean } = {
    token: () => ({ kind: "refused" }),
    access: () => false,
  };
  const namespaces = createMemoryStore(
    ["team-a", "slipway-node"].map((name) => [name, { metadata: { name, uid: "uid-a" } }]),
  );
  const accounts = createAccounts({
    clock,
    namespaces,
    tokenReviewer: {
      async review() {
        asked.tokens++;
        return answers.token();
      },
    },
    accessReviewer: {
      async review(access) {
        asked.access.push(access);
        return answers.access();
      },
    },
  });
  return { accounts, clock, asked, answers, namespaces };
}

const verdict = (username: string, audiences = ["slipway"]): TokenVerdict => {
  return { kind: "authenticated", username, uid: "1", groups: [], extra: {}, audiences };
};

const refused = [
  { name: "no audience", verdict: verdict("system:serviceaccount:team-a:builder", []) },
  { name: "another audience", verdict: verdict("system:serviceaccount:team-a:builder", ["slipway-agent"]) },
  { name: "a user", verdict: verdict("alice") },
  { name: "the account of the node agents", verdict: verdict("system:serviceaccount:slipway-node:node-agent") },
  { name: "a node", verdict: verdict("system:node:one") },
  { name: "a name of too many parts", verdict: verdict("system:serviceaccount:a:b:c") },
  { name: "a name without a namespace", verdict: verdict("system:serviceaccount::b") },
] as const;
for (const { name, verdict: answer } of refused) {
  test(`a review that answers with ${name} is a refusal`, async () => {
    const { accounts, answers } = start();
    answers.token = () => answer;
    assert.equal(await accounts.authenticate("token", signal), "refused");
  });
}

test("who an account is, is asked once in a minute", async () => {
  const { accounts, clock, asked, answers } = start();
  answers.token = () => verdict("system:serviceaccount:team-a:builder");
  assert.equal(accounts.known("token"), undefined);
  assert.deepEqual(await accounts.authenticate("token", signal), builder);
  await clock.advance(59_000);
  assert.deepEqual(accounts.known("token"), builder);
  await accounts.authenticate("token", signal);
  assert.equal(asked.tokens, 1);
  await clock.advance(1_001);
  assert.equal(accounts.known("token"), undefined);
  answers.token = () => ({ kind: "refused" });
  assert.equal(await accounts.authenticate("token", signal), "refused");
  await clock.advance(10_001);
  answers.token = () => verdict("system:serviceaccount:team-a:builder");
  assert.deepEqual(await accounts.authenticate("token", signal), builder, "a refusal is remembered for ten seconds");
});

test("an account is bound to its namespace as it was at the review, and refused while that is not known", async () => {
  const { accounts, answers, namespaces } = start();
  answers.token = () => verdict("system:serviceaccount:team-a:builder");
  namespaces.delete("team-a");
  assert.equal(await accounts.authenticate("token", signal), "refused");
  assert.equal(accounts.known("token"), undefined, "a namespace that comes a moment later is not waited for");
  namespaces.set("team-a", { metadata: { name: "team-a", uid: "uid-a" } });
  assert.deepEqual(await accounts.authenticate("token", signal), builder);
  namespaces.set("team-a", { metadata: { name: "team-a", uid: "uid-other" } });
  assert.deepEqual(accounts.known("token"), builder);
  assert.deepEqual(await accounts.authenticate("another", signal), { ...builder, uid: "uid-other" });
});

test("a right that was taken away is gone within a minute, and one that was granted is there", async () => {
  const { accounts, clock, asked, answers } = start();
  answers.access = () => true;
  assert.equal(await accounts.isAllowed(builder, question, signal), true);
  answers.access = () => false;
  await clock.advance(59_000);
  assert.equal(await accounts.isAllowed(builder, question, signal), true);
  await clock.advance(1_001);
  assert.equal(await accounts.isAllowed(builder, question, signal), false);
  answers.access = () => true;
  await clock.advance(60_001);
  assert.equal(await accounts.isAllowed(builder, question, signal), true);
  assert.equal(asked.access.length, 3);
});

test("an answer to one question is none to another", async () => {
  const { accounts, answers, asked } = start();
  answers.access = () => true;
  await accounts.isAllowed(builder, question, signal);
  answers.access = () => false;
  const others = [
    { ...question, verb: "push" as const },
    { ...question, namespace: "team-c" },
    { ...question, namespace: undefined },
    { ...question, name: "app2" },
    { ...question, name: "" },
  ];
  for (const other of others) assert.equal(await accounts.isAllowed(builder, other, signal), false);
  assert.equal(await accounts.isAllowed({ ...builder, name: "other" }, question, signal), false);
  assert.equal(await accounts.isAllowed({ ...builder, uid: "uid-other" }, question, signal), false);
  assert.deepEqual(asked.access[0], {
    user: "system:serviceaccount:team-a:builder",
    groups: ["system:serviceaccounts", "system:serviceaccounts:team-a", "system:authenticated"],
    resourceAttributes: {
      verb: "pull",
      group: "slipway.dev",
      resource: "repositories",
      namespace: "team-b",
      name: "app",
    },
  });
});

test("a failure of the API server is no answer, and is not remembered", async () => {
  const { accounts, answers } = start();
  const fail = () => {
    throw new ApiError({ status: 500, reason: "InternalError", message: "x" });
  };
  answers.token = fail;
  answers.access = fail;
  await assert.rejects(accounts.authenticate("token", signal), ApiError);
  await assert.rejects(accounts.isAllowed(builder, question, signal), ApiError);
  answers.token = () => verdict("system:serviceaccount:team-a:builder");
  answers.access = () => true;
  assert.deepEqual(await accounts.authenticate("token", signal), builder);
  assert.equal(await accounts.isAllowed(builder, question, signal), true);
});
