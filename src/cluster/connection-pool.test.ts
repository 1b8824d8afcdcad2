import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import { createSelfSigned } from "../../test/fake/self-signed.ts";
import { createLog } from "../log.ts";
import { ApiError } from "./api.ts";
import { createConnectionPool } from "./connection-pool.ts";

async function open(t: TestContext, user: (folder: string) => unknown, cluster: Record<string, unknown> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "slipway-test-"));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "ca.crt"), createSelfSigned().cert);
  const config = {
    clusters: [
      { name: "c", cluster: { server: "https://127.0.0.1:1", "certificate-authority": "ca.crt", ...cluster } },
    ],
    users: [{ name: "u", user: user(folder) }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  };
  const kubeconfig = join(folder, "kubeconfig");
  await writeFile(kubeconfig, JSON.stringify(config));
  const clock = createManualClock();
  const log = createLog({ level: "silent" });
  const pool = createConnectionPool({ source: { kubeconfig }, maxConnections: 4, clock, log });
  t.after(() => pool.close());
  return { folder, kubeconfig, config, clock, pool };
}

describe("a pool of connections", () => {
  test("stays the same while nothing changes", async (t) => {
    const { clock, pool } = await open(t, () => ({ token: "t" }));
    const first = await pool.connection();
    await clock.advance(60_000);
    assert.equal((await pool.connection()).agent, first.agent);
    assert.equal(first.headers.authorization, "Bearer t");
  });

  test("is replaced within ten seconds when the CA on disk changes", async (t) => {
    const { folder, clock, pool } = await open(t, () => ({ token: "t" }));
    const first = await pool.connection();
    await writeFile(join(folder, "ca.crt"), createSelfSigned().cert);
    assert.equal((await pool.connection()).agent, first.agent);
    await clock.advance(10_000);
    assert.notEqual((await pool.connection()).agent, first.agent);
  });

  test("keeps the last credentials when the files cannot be read for a while", async (t) => {
    const { folder, clock, pool } = await open(t, () => ({ token: "t" }));
    const first = await pool.connection();
    await rm(join(folder, "ca.crt"));
    await clock.advance(10_000);
    assert.equal((await pool.connection()).agent, first.agent);
  });

  test("says what an exec plugin says when there are no credentials at all", async (t) => {
    const exec = {
      apiVersion: "client.authentication.k8s.io/v1",
      command: "sh",
      args: ["-c", "echo log in first >&2; exit 1"],
    };
    const { pool } = await open(t, () => ({ exec }));
    await assert.rejects(pool.connection(), (error) => {
      assert.ok(error instanceof ApiError);
      assert.deepEqual([error.status, error.reason], [0, "NoCredentials"]);
      assert.match(error.message, /log in first/);
      return true;
    });
  });

  test("takes the token of an exec plugin", async (t) => {
    const credential = JSON.stringify({ kind: "ExecCredential", status: { token: "from-plugin" } });
    const exec = { apiVersion: "client.authentication.k8s.io/v1", command: "echo", args: [credential] };
    const { pool } = await open(t, () => ({ exec }));
    assert.equal((await pool.connection()).headers.authorization, "Bearer from-plugin");
  });

  test("takes user name and password", async (t) => {
    const { pool } = await open(t, () => ({ username: "u", password: "p" }));
    assert.equal((await pool.connection()).headers.authorization, `Basic ${Buffer.from("u:p").toString("base64")}`);
  });

  test("reads the configuration anew after a 401, but not again at once", async (t) => {
    const { kubeconfig, config, clock, pool } = await open(t, () => ({ token: "t" }));
    await pool.connection();
    await writeFile(kubeconfig, JSON.stringify({ ...config, users: [{ name: "u", user: { token: "fresh" } }] }));
    assert.equal(await pool.reload(), true);
    assert.equal((await pool.connection()).headers.authorization, "Bearer fresh");
    assert.equal(await pool.reload(), false);
    await clock.advance(5_000);
    assert.equal(await pool.reload(), true);
  });

  test("is replaced after it was retired, at most every ten seconds", async (t) => {
    const { clock, pool } = await open(t, () => ({ token: "t" }));
    const first = await pool.connection();
    pool.retire();
    const second = await pool.connection();
    assert.notEqual(second.agent, first.agent);
    pool.retire();
    assert.equal((await pool.connection()).agent, second.agent);
    await clock.advance(10_000);
    pool.retire();
    assert.notEqual((await pool.connection()).agent, second.agent);
  });

  test("of a proxy keeps its connections, too", async (t) => {
    const { pool } = await open(t, () => ({ token: "t" }), { "proxy-url": "http://127.0.0.1:2" });
    const first = await pool.connection();
    assert.equal((first.agent as unknown as { keepAlive: boolean }).keepAlive, true);
    pool.retire();
    assert.notEqual((await pool.connection()).agent, first.agent);
  });
});
