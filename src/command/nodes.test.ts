import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, type TestContext, test } from "node:test";
import { parse } from "yaml";
import { listOf, type Reply, startFakeApi, statusOf } from "../../test/fake/api-server.ts";
import { formatContract } from "../node/contract-verdict.ts";
import { formatVerdict } from "../node/verdict.ts";
import { run } from "./nodes.ts";

const paths = {
  registry: "GET /apis/slipway.dev/v1alpha1/localregistries/default",
  verdicts: "GET /api/v1/namespaces/slipway-system/configmaps/slipway-nodes",
  nodes: "GET /api/v1/nodes",
};

function node(name: string, os = "linux") {
  const conditions = [{ type: "Ready", status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" }];
  return { metadata: { name, uid: `uid-${name}`, labels: { "kubernetes.io/os": os } }, status: { conditions } };
}

function verdictOf(name: string, reason = ""): readonly [string, string] {
  const failed = { passing: false, failures: 3, reason, message: `${reason} here`, failedAtMs: 1 };
  const entry = reason === "" ? { passing: true, failures: 0, reason: "", message: "", failedAtMs: 0 } : failed;
  return [name, formatVerdict({ uid: `uid-${name}`, modes: { HostsToml: entry }, cas: [], removed: [] })];
}

function contractOf(name: string, outcome: "passed" | "failed"): readonly [string, string] {
  const reason = outcome === "passed" ? "" : "Proxy";
  const result = { outcome, reason, message: "the runtime said: Forbidden", key: "", atMs: 0, failures: 1 };
  const verdict = {
    node: name,
    uid: `uid-${name}`,
    looks: 1,
    last: "HostsToml",
    modes: { HostsToml: result },
  } as const;
  return [`_contract.${name}`, formatContract(verdict)];
}

/** A cluster as a user's kubeconfig shows it. */
async function nodes(
  t: TestContext,
  world: {
    readonly nodes?: readonly object[];
    readonly data?: readonly (readonly [string, string])[];
    readonly registry?: Reply;
  },
  ...args: readonly string[]
) {
  const status = { nodes: { mode: "HostsToml", ready: 0, total: 0, summary: "0/0" } };
  const registry = { status: 200, body: { metadata: { name: "default" }, spec: {}, status } };
  const data = Object.fromEntries(world.data ?? []);
  const api = await startFakeApi([
    { on: paths.registry, reply: world.registry ?? registry },
    { on: paths.verdicts, reply: { status: 200, body: { metadata: { name: "slipway-nodes" }, data } } },
    { on: paths.nodes, reply: listOf(world.nodes ?? [], { resourceVersion: "1" }) },
  ]);
  t.after(() => api.close());
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const all = ["--kubeconfig", api.kubeconfig, ...args];
  const code = await run({ args: all, env: {}, stdin, stdout, stderr, stop: new AbortController().signal });
  stdout.end();
  stderr.end();
  return { code, stdout: await text(stdout), stderr: await text(stderr) };
}

const well = {
  nodes: [node("b-much-longer"), node("a")],
  data: [verdictOf("a"), verdictOf("b-much-longer"), contractOf("a", "passed")],
};

describe("slipway nodes", () => {
  test("prints a table whose columns line up, by name, and ends with 0 where all pass", async (t) => {
    const { code, stdout } = await nodes(t, well);
    assert.equal(code, 0);
    assert.deepEqual(stdout.split("\n"), [
      "NODE           MODE       PASSED  CONTRACT  REASON  MESSAGE",
      "a              HostsToml  yes     passed",
      "b-much-longer  HostsToml  yes     none",
      "",
    ]);
  });

  test("ends with 1 where a node does not pass, and says what it lacks", async (t) => {
    const world = { nodes: [node("a"), node("b")], data: [verdictOf("a", "ForeignFile"), verdictOf("b")] };
    const { code, stdout } = await nodes(t, world);
    assert.equal(code, 1);
    assert.match(stdout, /^a +HostsToml +no +none +ForeignFile +ForeignFile here$/m);
  });

  test("ends with 1 where the contract check failed, in the runtime's words", async (t) => {
    const world = { nodes: [node("a")], data: [verdictOf("a"), contractOf("a", "failed")] };
    const { code, stdout } = await nodes(t, world, "-o", "json");
    assert.equal(code, 1);
    const [row] = JSON.parse(stdout);
    const message = "the runtime said: Forbidden";
    const expected = { node: "a", mode: "HostsToml", passed: "no", contract: "failed", reason: "Proxy", message };
    assert.deepEqual(row, expected);
  });

  test("takes neither a new node nor a Windows node for one that fails", async (t) => {
    const { code, stdout } = await nodes(t, { nodes: [node("a"), node("w", "windows")] }, "-o", "yaml");
    assert.equal(code, 0);
    const rows = parse(stdout) as readonly { readonly passed: string; readonly reason: string }[];
    assert.deepEqual(
      rows.map(({ passed, reason }) => [passed, reason]),
      [
        ["pending", "NoReport"],
        ["no", "Windows"],
      ],
    );
  });

  test("forgets what an earlier node of the same name was said to lack", async (t) => {
    const again = { ...node("a"), metadata: { ...node("a").metadata, uid: "another" } };
    const { code, stdout } = await nodes(t, { nodes: [again], data: [verdictOf("a", "ForeignFile")] });
    assert.equal(code, 0);
    assert.match(stdout, /^a +HostsToml +pending/m);
  });

  test("prints the heading alone in a cluster without nodes", async (t) => {
    const { code, stdout } = await nodes(t, {});
    assert.deepEqual([code, stdout.trim().split("\n").length], [0, 1]);
  });

  test("ends with 2 and one line without LocalRegistry, without a right, or with an unknown format", async (t) => {
    const missing = await nodes(t, { registry: statusOf(404, { reason: "NotFound" }) });
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /is Slipway installed\?\n$/);
    const forbidden = await nodes(t, { registry: statusOf(403, { reason: "Forbidden" }) });
    assert.deepEqual([forbidden.code, forbidden.stderr.trim().split("\n").length], [2, 1]);
    const format = await nodes(t, {}, "-o", "xml");
    assert.deepEqual([format.code, format.stdout], [2, ""]);
    assert.match(format.stderr, /use table, json or yaml/);
  });

  test("tells about itself", async (t) => {
    const { code, stdout } = await nodes(t, {}, "--help");
    assert.equal(code, 0);
    for (const option of ["--kubeconfig", "--context", "--output"]) assert.match(stdout, new RegExp(option));
  });
});
