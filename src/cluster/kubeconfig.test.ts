import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { SlipwayError } from "../errors.ts";
import { contextNamespace, loadKubeConfig } from "./kubeconfig.ts";

const entry = (name: string, server = `https://${name}.example.com`) => ({
  clusters: [{ name, cluster: { server } }],
  users: [{ name, user: { token: name } }],
  contexts: [{ name, context: { cluster: name, user: name, namespace: `of-${name}` } }],
  "current-context": name,
});

async function files(t: TestContext, ...contents: readonly unknown[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-test-"));
  t.after(() => rm(folder, { recursive: true }));
  const paths = contents.map((_, index) => join(folder, `config-${index}`));
  for (const [index, path] of paths.entries()) await writeFile(path, JSON.stringify(contents[index]));
  return paths.join(delimiter);
}

function refused(work: () => unknown, pattern: RegExp): void {
  assert.throws(work, (error) => {
    assert.ok(error instanceof SlipwayError);
    assert.equal(error.code, "KUBECONFIG_INVALID");
    assert.match(error.message, pattern);
    return true;
  });
}

describe("a kubeconfig", () => {
  test("gives its current context, or the one that is named", async (t) => {
    const kubeconfig = await files(t, entry("a"), entry("b"));
    assert.equal(loadKubeConfig({ kubeconfig }).getCurrentCluster()?.server, "https://a.example.com");
    assert.equal(loadKubeConfig({ kubeconfig, context: "b" }).getCurrentCluster()?.server, "https://b.example.com");
    assert.equal(contextNamespace({ kubeconfig, context: "b" }), "of-b");
  });

  test("of two files the first wins", async (t) => {
    const kubeconfig = await files(t, entry("a"), {
      ...entry("a", "https://other.example.com"),
      "current-context": "b",
    });
    assert.equal(loadKubeConfig({ kubeconfig }).getCurrentCluster()?.server, "https://a.example.com");
  });

  test("that is not there, or lacks the context, is named in the error", async (t) => {
    const kubeconfig = await files(t, entry("a"));
    refused(() => loadKubeConfig({ kubeconfig: "/does/not/exist" }), /does\/not\/exist/);
    refused(() => loadKubeConfig({ kubeconfig, context: "zz" }), /'zz'.*contexts: a/);
  });

  test("with a plain http server is refused, unless TLS is given up in so many words", async (t) => {
    const kubeconfig = await files(t, entry("a", "http://127.0.0.1:8001"));
    refused(() => loadKubeConfig({ kubeconfig }), /plain http/);
    const cluster = { server: "http://127.0.0.1:8001", "insecure-skip-tls-verify": true };
    const open = await files(t, { ...entry("a"), clusters: [{ name: "a", cluster }] });
    assert.equal(loadKubeConfig({ kubeconfig: open }).getCurrentCluster()?.server, "http://127.0.0.1:8001");
  });

  test("in a pod that is none says that there is no ServiceAccount", () => {
    refused(() => loadKubeConfig({ inCluster: true }), /ServiceAccount|in-cluster|URL/);
  });
});
