import assert from "node:assert/strict";
import { test } from "node:test";
import { formatSubject, parseSubject, type Subject } from "./identity.ts";

const subjects: readonly Subject[] = [
  { kind: "namespace", purpose: "pull", namespace: "team-a", uid: "0b8e-1" },
  { kind: "namespace", purpose: "push", namespace: "team-a", uid: "0b8e-1" },
  { kind: "shared" },
  { kind: "admin" },
  { kind: "user", name: "ci.example:1" },
  { kind: "serviceAccount", namespace: "team-a", name: "builder", uid: "0b8e-1" },
];
for (const subject of subjects) {
  test(`${formatSubject(subject)} is read as it was written`, () => {
    assert.deepEqual(parseSubject(formatSubject(subject)), subject);
  });
}

for (const text of ["", "gateway", "namespace", "namespace:fly:a:1", "namespace:pull:a:1:2", "root"]) {
  test(`'${text}' is nobody`, () => assert.equal(parseSubject(text), undefined));
}
