import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { buildAnswer, buildFailOpenAnswer } from "./answer.ts";
import type { Decision } from "./decision.ts";
import { parseReview, readReview } from "./review.ts";

const review = (changes: object = {}, request: unknown = { uid: "u" }): unknown => ({
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request,
  ...changes,
});

const refused: readonly {
  readonly name: string;
  readonly body: unknown;
  readonly reason: string;
  readonly uid?: string;
}[] = [
  { name: "null", body: null, reason: "NotAReview" },
  { name: "a list", body: [], reason: "NotAReview" },
  { name: "a text", body: "x", reason: "NotAReview" },
  { name: "another kind", body: review({ kind: "Pod" }), reason: "NotAReview", uid: "u" },
  { name: "no version", body: review({ apiVersion: undefined }), reason: "UnsupportedVersion", uid: "u" },
  { name: "v1beta1", body: review({ apiVersion: "admission.k8s.io/v1beta1" }), reason: "UnsupportedVersion", uid: "u" },
  { name: "no request", body: review({}, null), reason: "NoRequest" },
  { name: "a request that is a list", body: review({}, []), reason: "NoRequest" },
  { name: "no uid", body: review({}, {}), reason: "NoUid" },
  { name: "a uid that is a number", body: review({}, { uid: 7 }), reason: "NoUid" },
  { name: "an empty uid", body: review({}, { uid: "" }), reason: "NoUid" },
  { name: "an endless uid", body: review({}, { uid: "u".repeat(1000) }), reason: "NoUid" },
];

describe("a body that is refused with 400", () => {
  for (const { name, body, reason, uid } of refused) {
    test(name, () => {
      const reading = readReview(body);
      assert.ok(reading.kind === "refused");
      assert.deepEqual([reading.status, reading.reason, reading.uid], [400, reason, uid]);
      assert.ok(reading.message.length < 256);
    });
  }
  for (const text of ["", "{", "\u0000", '{"a":']) {
    test(`what is no JSON: ${JSON.stringify(text)}`, () => {
      const reading = parseReview(text);
      assert.equal(reading.kind === "refused" && reading.reason, "NotJson");
    });
  }
});

describe("a request", () => {
  test("is read with everything that may be absent", () => {
    const reading = readReview(review());
    assert.deepEqual(reading.kind === "ok" && reading.request, {
      uid: "u",
      resource: { group: "", version: "", resource: "" },
      subResource: "",
      operation: "",
      namespace: "",
      name: "",
      dryRun: false,
      object: undefined,
      oldObject: undefined,
    });
  });
  test("keeps its object as it is", () => {
    const object = { spec: {} };
    const reading = readReview(
      review({}, { uid: "u", object, dryRun: true, operation: "CREATE", namespace: "a", name: "b" }),
    );
    assert.ok(reading.kind === "ok" && reading.request.object === object && reading.request.dryRun);
  });
  test("of any JSON whatever never throws", () =>
    fc.assert(
      fc.property(fc.jsonValue(), (value) => void readReview(review({}, value))),
      { numRuns: 2000 },
    ));
});

describe("an answer", () => {
  const rest = { warnings: [], audit: {}, counts: {} };
  test("carries patch and patchType together", () => {
    const patch = [{ op: "remove", path: "/é" }] as const;
    const { response } = buildAnswer("u", { kind: "patched", patch, ...rest });
    assert.equal(response.patchType, "JSONPatch");
    assert.deepEqual(JSON.parse(Buffer.from(response.patch ?? "", "base64").toString()), patch);
  });
  test("carries neither when nothing is to do", () => {
    const untouched: Decision = { kind: "untouched", reason: "nothing-to-do", ...rest };
    for (const decision of [untouched, { kind: "patched", patch: [], ...rest } as const]) {
      assert.deepEqual(buildAnswer("u", decision), {
        apiVersion: "admission.k8s.io/v1",
        kind: "AdmissionReview",
        response: { uid: "u", allowed: true },
      });
    }
  });
  test("carries warnings and audit annotations", () => {
    const { response } = buildAnswer("u", { kind: "patched", patch: [], ...rest, warnings: ["w"], audit: { a: "b" } });
    assert.deepEqual([response.warnings, response.auditAnnotations], [["w"], { a: "b" }]);
  });
  test("allows when something failed here", () => {
    const { response } = buildFailOpenAnswer("u", "w");
    assert.deepEqual(response, { uid: "u", allowed: true, warnings: ["w"] });
  });
});
