import assert from "node:assert/strict";
import { describe, test } from "node:test";
import express from "express";
import { pino } from "pino";
import { Registry } from "prom-client";
import request from "supertest";
import { createManualClock } from "../../test/fake/clock.ts";
import type { Decision } from "../admission/decision.ts";
import { createMutateHandler, type MutateRouteNeeds } from "./mutate-route.ts";

const nothing: Decision = { kind: "untouched", reason: "nothing-to-do", warnings: [], audit: {}, counts: {} };
const review = {
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: { uid: "u-1", operation: "CREATE" },
};

/** It stands still: what a decision has left is what it was given. */
const clock = createManualClock();

function open(decide: MutateRouteNeeds["decide"]) {
  const metrics = new Registry();
  const lines: string[] = [];
  const log = pino({ level: "debug" }, { write: (line: string) => void lines.push(line) });
  const app = express().all("/mutate", createMutateHandler({ decide, clock, log, metrics }));
  const value = async (name: string) => {
    const metric = await metrics.getSingleMetric(name)?.get();
    return metric?.values.reduce((sum, { value: one }) => sum + one, 0);
  };
  return { app, value, lines };
}

describe("/mutate", () => {
  test("echoes the uid and answers allowed", async () => {
    const { app } = open(() => nothing);
    const { status, body } = await request(app).post("/mutate?timeout=5s").send(review);
    assert.equal(status, 200);
    assert.deepEqual(body.response, { uid: "u-1", allowed: true });
  });
  test("allows the pod unchanged when the decision fails, counts it, and logs no part of the pod", async () => {
    const failing = [
      () => {
        throw new Error("broken");
      },
      () => Promise.reject(new Error("broken later")),
    ];
    for (const decide of failing) {
      const { app, value, lines } = open(decide);
      const pod = {
        metadata: { name: "p" },
        spec: { containers: [{ env: [{ name: "PASSWORD", value: "hunter2" }] }] },
      };
      const { status, body } = await request(app)
        .post("/mutate")
        .send({ ...review, request: { ...review.request, object: pod } });
      assert.equal(status, 200);
      assert.equal(body.response.allowed, true);
      assert.equal(body.response.patch, undefined);
      assert.equal(body.response.warnings.length, 1);
      assert.equal(await value("slipway_admission_internal_errors_total"), 1);
      assert.doesNotMatch(lines.join(""), /hunter2/);
    }
  });
  test("refuses what is no review with a reason and never with a 5xx", async () => {
    const { app } = open(() => nothing);
    const post = (type: string, body: string) => request(app).post("/mutate").set("content-type", type).send(body);
    const json = "application/json";
    assert.equal((await post(json, "{")).status, 400);
    assert.equal((await post(json, "")).status, 400);
    assert.equal((await post(json, "[]")).status, 400);
    assert.equal((await post("text/plain", "{}")).status, 415);
    assert.equal((await post(json, JSON.stringify({ ...review, apiVersion: "admission.k8s.io/v1beta1" }))).status, 400);
    assert.equal((await post(json, `"${"x".repeat(8 * 1024 * 1024)}"`)).status, 413);
    const get = await request(app).get("/mutate");
    assert.deepEqual([get.status, get.headers.allow], [405, "POST"]);
  });
});

describe("the time that a decision has", () => {
  const cases = [
    { name: "is what the API server names, less the way back", query: "?timeout=5s", want: 4_750 },
    { name: "may come as milliseconds", query: "?timeout=900ms", want: 650 },
    { name: "may come as minutes, and is never more than 30 s", query: "?timeout=1m30s", want: 29_750 },
    { name: "is the configured timeout when nothing is named", query: "", want: 4_750 },
    { name: "is the configured timeout when nonsense is named", query: "?timeout=soon", want: 4_750 },
  ] as const;
  for (const { name, query, want } of cases) {
    test(name, async () => {
      let leftMs = Number.NaN;
      const { app } = open((_request, deadlineMs) => {
        leftMs = deadlineMs - clock.monotonicMs();
        return nothing;
      });
      await request(app).post(`/mutate${query}`).send(review);
      assert.equal(leftMs, want);
    });
  }
});
