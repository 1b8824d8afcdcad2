import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decideAccess, decideListing } from "./access.ts";
import type { Action, Identity } from "./identity.ts";

const policy = { sharedRepositories: ["docker.io/library/**", "shared/tools/**", "single"] };
const identities = {
  pull: { kind: "namespace", purpose: "pull", namespace: "team-a", uid: "1" },
  push: { kind: "namespace", purpose: "push", namespace: "team-a", uid: "1" },
  shared: { kind: "shared" },
  admin: { kind: "admin" },
  user: {
    kind: "user",
    name: "ci",
    rules: [
      { repository: "team-b/**", actions: ["pull", "push"] },
      { repository: "**", actions: ["pull"] },
    ],
  },
  account: { kind: "serviceAccount", namespace: "team-a", name: "builder", uid: "1" },
} as const satisfies Record<string, Identity>;

/** The matrix of docs/registry.md: what each identity may do, `-` for nothing, `?` for a review. */
const matrix: Record<string, Record<keyof typeof identities, string>> = {
  "team-a/app": {
    pull: "pull",
    push: "pull push delete",
    shared: "-",
    admin: "pull push delete",
    user: "pull",
    account: "?",
  },
  "team-a/x/y": {
    pull: "pull",
    push: "pull push delete",
    shared: "-",
    admin: "pull push delete",
    user: "pull",
    account: "?",
  },
  "team-b/app": { pull: "-", push: "-", shared: "-", admin: "pull push delete", user: "pull push", account: "?" },
  "team-a-b/app": { pull: "-", push: "-", shared: "-", admin: "pull push delete", user: "pull", account: "?" },
  "docker.io/library/nginx": {
    pull: "pull",
    push: "pull",
    shared: "pull",
    admin: "pull push delete",
    user: "pull",
    account: "pull ?",
  },
  "docker.io/private/app": { pull: "-", push: "-", shared: "-", admin: "pull push delete", user: "pull", account: "?" },
  "team-a.example.com/app": {
    pull: "-",
    push: "-",
    shared: "-",
    admin: "pull push delete",
    user: "pull",
    account: "?",
  },
  "shared/tools/git": {
    pull: "pull",
    push: "pull",
    shared: "pull",
    admin: "pull push delete",
    user: "pull",
    account: "pull ?",
  },
  single: { pull: "-", push: "-", shared: "-", admin: "pull push delete", user: "-", account: "-" },
  "team-a": { pull: "-", push: "-", shared: "-", admin: "pull push delete", user: "-", account: "-" },
  [`${"a".repeat(64)}/app`]: {
    pull: "-",
    push: "-",
    shared: "-",
    admin: "pull push delete",
    user: "pull",
    account: "-",
  },
};

describe("identity × action × repository", () => {
  for (const [repository, row] of Object.entries(matrix)) {
    for (const [name, want] of Object.entries(row)) {
      const identity = identities[name as keyof typeof identities];
      test(`${name} on ${repository}: ${want}`, () => {
        for (const action of ["pull", "push", "delete"] satisfies Action[]) {
          const expected = want.includes(action) ? "allowed" : want.includes("?") ? "review" : "refused";
          assert.equal(decideAccess(identity, action, repository, policy).kind, expected, action);
        }
      });
    }
  }
});

test("a review asks about the namespace of the first segment and the name that is left", () => {
  assert.deepEqual(decideAccess(identities.account, "push", "team-b/x/y", policy), {
    kind: "review",
    question: { verb: "push", namespace: "team-b", name: "x/y" },
  });
});

test("a review about a mirrored host is cluster-scoped and names the whole path", () => {
  assert.deepEqual(decideAccess(identities.account, "pull", "reg_5000/app", policy), {
    kind: "review",
    question: { verb: "pull", namespace: undefined, name: "reg_5000/app" },
  });
});

test("only a listing asks with an empty name, which means all", () => {
  assert.deepEqual(decideListing(identities.account, "team-b/x", policy), {
    kind: "review",
    question: { verb: "pull", namespace: "team-b", name: "" },
  });
  assert.equal(decideListing(identities.account, "docker.io/library/nginx", policy).kind, "allowed");
});
