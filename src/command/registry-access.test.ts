import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Writable } from "node:stream";
import { after, before, test } from "node:test";
import { startFakeRegistry } from "../../test/fake/registry.ts";
import { run } from "./login.ts";

let folder: string;
let registry: Awaited<ReturnType<typeof startFakeRegistry>>;
const path = (name: string) => join(folder, name);
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "slipway-login-"));
  registry = await startFakeRegistry([{ on: "GET /v2/", status: 200 }]);
  await writeFile(path("password"), "secret\n");
  await writeFile(path("ca.crt"), registry.ca);
});
after(async () => {
  await registry.close();
  await rm(folder, { recursive: true });
});

async function logIn(...args: readonly string[]) {
  const texts = { stdout: "", stderr: "" };
  const into = (name: keyof typeof texts) =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        texts[name] += chunk.toString("utf8");
        done();
      },
    });
  const own = ["--username", "ci", "--password-file", path("password"), "--certs-dir", path("certs.d")];
  const code = await run({
    args: [...own, ...args],
    env: { HOME: folder },
    stdin: new PassThrough(),
    stdout: into("stdout"),
    stderr: into("stderr"),
    stop: AbortSignal.timeout(60_000),
  });
  return { code, ...texts };
}

test("an address as images have it means https", async () => {
  const { code, stdout, stderr } = await logIn("--registry", registry.address, "--ca-file", path("ca.crt"));
  assert.equal(code, 0, stderr);
  assert.match(stdout, new RegExp(`push as ${registry.address}/`));
  assert.equal(await readFile(path(`certs.d/${registry.address}/ca.crt`), "utf8"), registry.ca);
  const config = JSON.parse(await readFile(path(".docker/config.json"), "utf8")) as { auths: Record<string, unknown> };
  assert.deepEqual(Object.keys(config.auths), [registry.address]);
});

for (const address of ["no address", "https://", "https://registry.example.com/v2", "registry.example.com:port"]) {
  test(`refused with one line and exit code 2: --registry '${address}'`, async () => {
    const { code, stderr } = await logIn("--registry", address);
    assert.equal(code, 2);
    assert.match(stderr, /^slipway login: .*--registry is '.*give host\[:port\].*\n$/);
  });
}

test("a file without a certificate is no CA", async () => {
  const { code, stderr } = await logIn("--registry", registry.url, "--ca-file", path("password"));
  assert.equal(code, 2);
  assert.match(stderr, /password holds no certificate in PEM/);
});
