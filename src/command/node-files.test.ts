import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, type TestContext, test } from "node:test";
import { createSelfSigned } from "../../test/fake/self-signed.ts";
import { run } from "./node-files.ts";

async function nodeFiles(...args: readonly string[]) {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const code = await run({ args, env: {}, stdin, stdout, stderr, stop: new AbortController().signal });
  stdout.end();
  stderr.end();
  return { code, stdout: await text(stdout), stderr: await text(stderr) };
}

async function caFile(t: TestContext): Promise<{ readonly folder: string; readonly ca: string; readonly pem: string }> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-node-files-"));
  t.after(() => rm(folder, { recursive: true }));
  const { cert: pem } = createSelfSigned();
  const ca = join(folder, "ca.crt");
  await writeFile(ca, `a private note\n${pem}`);
  return { folder, ca, pem };
}

describe("slipway node-files", () => {
  test("prints the files of all runtimes, for every host, with the certificates alone", async (t) => {
    const { ca, pem } = await caFile(t);
    const { code, stdout } = await nodeFiles("--host", "registry.example.com:5000", "builds.example.com", "--ca", ca);
    assert.equal(code, 0);
    const paths = [...stdout.matchAll(/^# --- (.+)$/gm)].map(([, path]) => path);
    assert.equal(paths.length, 8);
    assert.ok(paths.includes("/etc/docker/certs.d/registry.example.com:5000/ca.crt"));
    assert.ok(stdout.includes(pem.trim()) && !stdout.includes("a private note"));
  });
  test("writes those of one runtime below a root, and ends with 1 where somebody else's file is in the way", async (t) => {
    const { ca, folder } = await caFile(t);
    const root = join(folder, "root");
    const args = ["--host", "registry.example.com", "--ca", ca, "--runtime", "docker", "--write", "--root", root];
    assert.equal((await nodeFiles(...args)).code, 0);
    assert.deepEqual(await readdir(join(root, "etc")), ["docker"]);
    const path = join(root, "etc/docker/certs.d/registry.example.com/ca.crt");
    await writeFile(path, "theirs");
    const again = await nodeFiles(...args);
    assert.equal(again.code, 1);
    assert.ok(again.stderr.includes(path));
    assert.equal(await readFile(path, "utf8"), "theirs");
  });
  const refusals: readonly (readonly string[])[] = [
    [],
    ["--host", "docker.io"],
    ["--host", "../etc"],
    ["--host", "registry.example.com", "--server", "http://192.0.2.7"],
    ["--host", "registry.example.com", "--server", "https://192.0.2.7/path"],
    ["--host", "registry.example.com", "--runtime", "rkt"],
    ["--host", "registry.example.com", "--ca", "/dev/null"],
  ];
  for (const args of refusals) {
    test(`refuses ${args.join(" ") || "no host"}`, async () => {
      const { code, stdout, stderr } = await nodeFiles(...args);
      assert.equal(code, 2);
      assert.equal(stdout, "");
      assert.notEqual(stderr, "");
    });
  }
});
