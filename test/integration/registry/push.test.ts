import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough, Writable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { run } from "../../../src/command/images.ts";
import type { RegistryClient } from "../../../src/registry/client.ts";
import { writeDockerArchive, writeOciLayout } from "../../fake/image-folder.ts";
import { type BareRegistry, clientOf, startBareRegistry } from "./distribution.ts";

const signal = AbortSignal.timeout(600_000);
const call = promisify(execFile);

function collector() {
  let text = "";
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString("utf8");
      done();
    },
  });
  return { stream, text: () => text };
}

describe("slipway images against CNCF Distribution", () => {
  let registry: BareRegistry;
  let client: RegistryClient;
  let passwordFile: string;
  const folders: string[] = [];
  before(async () => {
    registry = await startBareRegistry();
    client = clientOf(registry.url);
    passwordFile = join(registry.folder, "password");
    await writeFile(passwordFile, "secret\n");
  });
  after(async () => {
    client.close();
    await registry.remove();
    for (const folder of folders) await rm(folder, { recursive: true });
  });

  async function images(...args: readonly string[]) {
    const [stdout, stderr] = [collector(), collector()];
    const login = ["--registry", registry.url, "--username", "admin", "--password-file", passwordFile];
    const code = await run({
      args: [...args, ...login],
      env: { PATH: process.env.PATH },
      stdin: new PassThrough(),
      stdout: stdout.stream,
      stderr: stderr.stream,
      stop: signal,
    });
    return { code, stdout: stdout.text(), stderr: stderr.text() };
  }

  const host = () => new URL(registry.url).host;
  async function tarOf(folder: string, ...flags: readonly string[]): Promise<string> {
    const file = `${folder}.tar`;
    folders.push(folder, file);
    await call("tar", [...flags, "-cf", file, "-C", folder, "."]);
    return file;
  }

  test("a folder with an OCI layout goes to the mirrored path of its name, byte for byte", async () => {
    const layout = await writeOciLayout({ name: "ghcr.io/example/app:1" });
    folders.push(layout.path);
    const pushed = await images("push", layout.path);
    assert.equal(pushed.code, 0, pushed.stderr);
    assert.equal(pushed.stdout, `${host()}/ghcr.io/example/app:1\n`);
    assert.equal((await client.headManifest("ghcr.io/example/app", "1", signal))?.digest, layout.digest);
  });

  test("an index keeps its digest, and everything below it arrives", async () => {
    const layout = await writeOciLayout({ platforms: ["linux/amd64", "linux/arm64"] });
    const pushed = await images("push", await tarOf(layout.path), "demo/multi:2");
    assert.equal(pushed.code, 0, pushed.stderr);
    assert.equal((await client.headManifest("demo/multi", "2", signal))?.digest, layout.digest);
  });

  test("of an index whose other platforms are missing the one image is pushed, and that is said", async () => {
    const layout = await writeOciLayout({ platforms: ["linux/amd64", "linux/arm64"], absent: ["linux/arm64"] });
    const pushed = await images("push", await tarOf(layout.path), "demo/single");
    assert.equal(pushed.code, 0, pushed.stderr);
    assert.match(pushed.stderr, /only linux\/amd64/);
    assert.notEqual((await client.headManifest("demo/single", "latest", signal))?.digest, layout.digest);
  });

  for (const [kind, flags] of [
    ["ustar", ["--format=ustar"]],
    ["pax", ["--format=pax"]],
    ["gnu, gzip", ["--format=gnu", "-z"]],
  ] as const) {
    test(`a docker archive (${kind}) becomes an image of the same configuration and layers`, async () => {
      const archive = await writeDockerArchive("app:1");
      const pushed = await images("push", await tarOf(archive.path, ...flags), "demo/app");
      assert.equal(pushed.code, 0, pushed.stderr);
      const manifest = await client.getManifest("demo/app", "1", signal);
      const parsed = JSON.parse(manifest?.bytes.toString() ?? "") as {
        config: { digest: string };
        layers: { digest: string }[];
      };
      assert.equal(parsed.config.digest, archive.config);
      assert.deepEqual(
        parsed.layers.map((layer) => layer.digest),
        [archive.digest, archive.digest],
      );
    });
  }

  test("what has arrived is skipped the second time", async () => {
    const layout = await writeOciLayout({ layerBytes: 100_000 });
    folders.push(layout.path);
    const first = await images("push", layout.path, "demo/twice");
    assert.match(first.stderr, /\[2\/2\].* pushed/);
    const second = await images("push", layout.path, "demo/twice");
    assert.match(second.stderr, /\[2\/2\].* is there already/);
    assert.doesNotMatch(second.stderr, / pushed/);
  });

  test("a local image comes through docker save", async () => {
    const archive = await writeDockerArchive("app:1");
    const file = await tarOf(archive.path);
    const docker = join(registry.folder, "docker");
    await writeFile(docker, `#!/bin/sh\n[ "$1 $2 $3" = "save -- app:1" ] && cat ${file}\n`, { mode: 0o755 });
    const pushed = await images("push", "app:1", "demo/docker", "--docker", docker);
    assert.equal(pushed.code, 0, pushed.stderr);
    assert.equal(pushed.stdout, `${host()}/demo/docker:1\n`);
    const refused = await images("push", "other:1", "demo/docker", "--docker", docker);
    assert.equal(refused.code, 2);
  });

  const refusals = [
    { name: "a bare local name", args: ["push", "ARCHIVE"], says: /docker\.io\/library\/app:1/ },
    { name: "a path of one segment", args: ["push", "ARCHIVE", "app"], says: /one segment/ },
    { name: "a file that is not there", args: ["push", "./absent.tar"], says: /no such file/ },
    { name: "a file that is no archive", args: ["push", "PASSWORD", "demo/app"], says: /is no tar/ },
    { name: "an unknown format", args: ["ls", "-o", "xml"], says: /table, json or yaml/ },
    { name: "an unknown flag", args: ["ls", "--what"], says: /unknown option/ },
  ];
  for (const { name, args, says } of refusals) {
    test(`refused with one line and exit code 2: ${name}`, async () => {
      const archive = await writeDockerArchive("app:1");
      const places: Record<string, string> = { ARCHIVE: await tarOf(archive.path), PASSWORD: passwordFile };
      const outcome = await images(...args.map((arg) => places[arg] ?? arg));
      assert.equal(outcome.code, 2);
      assert.match(outcome.stderr, says);
    });
  }

  test("ls names what is there, of one namespace when asked", async () => {
    const layout = await writeOciLayout({});
    folders.push(layout.path);
    await images("push", layout.path, "listed/app:1");
    const table = await images("ls", "-n", "listed");
    assert.equal(table.stdout, `REPOSITORY  TAG  DIGEST\nlisted/app  1    ${layout.digest}\n`);
    const rows = JSON.parse((await images("ls", "-n", "listed", "-o", "json")).stdout) as { image: string }[];
    assert.deepEqual(
      rows.map((row) => row.image),
      [`${host()}/listed/app:1`],
    );
  });
});
