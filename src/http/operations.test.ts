import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter, Registry } from "prom-client";
import supertest from "supertest";
import { createLog } from "../log.ts";
import { type Checks, createOperationsApp } from "./operations.ts";

function app(checks: { readonly live?: Checks; readonly ready?: Checks } = {}) {
  const metrics = new Registry();
  new Counter({ name: "test_total", help: "A counter", registers: [metrics] }).inc();
  return supertest(
    createOperationsApp({ live: {}, ready: {}, ...checks, metrics, log: createLog({ level: "silent" }) }),
  );
}

test("without a failing check both probes say ok", async () => {
  for (const path of ["/livez", "/readyz"]) await app().get(path).expect(200, "ok\n");
});

test("a failing check is 503 and says which and why", async () => {
  const ready = { caches: () => "not listed yet", listening: () => undefined };
  await app({ ready }).get("/readyz").expect(503, "[-]caches failed: not listed yet\nnot ok\n");
  await app({ ready }).get("/livez").expect(200);
});

test("verbose lists every check", async () => {
  const ready = { caches: () => undefined, listening: () => undefined };
  await app({ ready }).get("/readyz?verbose").expect(200, "[+]caches ok\n[+]listening ok\nok\n");
});

test("a check that throws is 500 without a word about why", async () => {
  const ready = {
    caches: () => {
      throw new Error("the password is secret");
    },
  };
  await app({ ready }).get("/readyz").expect(500, "internal error\n");
});

test("metrics are those of the registry that was handed in", async () => {
  const answer = await app()
    .get("/metrics")
    .expect(200)
    .expect("Content-Type", /text\/plain/);
  assert.match(answer.text, /test_total 1/);
});

test("everything else is 404", async () => {
  await app().get("/debug/pprof").expect(404);
});
