import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, type TestContext, test } from "node:test";
import { run } from "./contract.ts";

async function contract(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const code = await run({ args, env, stdin, stdout, stderr, stop: new AbortController().signal });
  stdout.end();
  stderr.end();
  return { code, stdout: await text(stdout), stderr: await text(stderr) };
}

async function folderWith(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-contract-"));
  t.after(() => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

const required = ["--image", "registry.example.com/team-a/contract", "--namespace", "team-a"];

describe("slipway contract that cannot begin ends with 2 and says what to do", () => {
  const cases = [
    { name: "without an image", args: ["--namespace", "a"], says: /--image/ },
    {
      name: "with a tag",
      args: ["--image", "registry.example.com/a/b:1", "--namespace", "a"],
      says: /leave tag and digest out/,
    },
    { name: "with a bad reference", args: ["--image", "registry.example.com/A", "--namespace", "a"], says: /grammar/ },
    { name: "with an unknown format", args: [...required, "-o", "xml"], says: /use table, json or yaml/ },
  ];
  for (const { name, args, says } of cases) {
    test(name, async () => {
      const { code, stderr } = await contract(args);
      assert.equal(code, 2);
      assert.match(stderr, says);
    });
  }

  test("with a setting that is misspelt", async () => {
    const { code, stderr } = await contract(required, { SLIPWAY_CONTRACT_IMAG: "x" });
    assert.equal(code, 2);
    assert.match(stderr, /SLIPWAY_CONTRACT_IMAG is unknown/);
  });

  test("with a folder that holds no login: the Secret is not there yet", async (t) => {
    const { code, stderr } = await contract([...required, "--login", await folderWith(t, {})]);
    assert.equal(code, 2);
    assert.match(stderr, /component push/);
  });

  test("with logins of other registries, which are named and not shown", async (t) => {
    const login = { username: "robot", password: "hush" };
    const config = JSON.stringify({ auths: { "registry.example.org": login } });
    const folder = await folderWith(t, { ".dockerconfigjson": config });
    const { code, stderr } = await contract([...required, "--login", folder]);
    assert.equal(code, 2);
    assert.match(stderr, /no login for registry\.example\.com\/team-a\/contract; there are: registry\.example\.org/);
    assert.doesNotMatch(stderr, /hush/);
  });
});

test("a registry that refuses the push ends it with 1 and one row that says why, before any pod", async (t) => {
  const registry = createServer((_request, response) => response.writeHead(403).end("{}"));
  await new Promise<void>((resolve) => registry.listen(0, "127.0.0.1", resolve));
  t.after(() => registry.close());
  const host = `127.0.0.1:${(registry.address() as AddressInfo).port}`;
  const args = ["--image", `${host}/team-a/contract`, "--namespace", "team-a", "--plain-http", "-o", "json"];
  const { code, stdout, stderr } = await contract(args);
  assert.equal(code, 1);
  const [row] = JSON.parse(stdout);
  assert.deepEqual([row.result, row.reason], ["failed", "LoginRefused"]);
  assert.match(stderr, /cannot be pushed from here/);
});
