import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { downloadPrograms } from "./download.ts";
import { controlPlaneSource, registrySource } from "./program-source.ts";
import { findControlPlanePrograms, findRegistryProgram } from "./programs.ts";
import { runToEnd } from "./run-to-end.ts";

async function emptyFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-programs-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A folder with executable scripts of these names. */
async function folderWith(t: TestContext, scripts: Readonly<Record<string, string>>): Promise<string> {
  const folder = await emptyFolder(t);
  for (const [name, text] of Object.entries(scripts)) {
    await writeFile(join(folder, name), `#!/bin/sh\n${text}\n`);
    await chmod(join(folder, name), 0o755);
  }
  return folder;
}

const controlPlane = { "kube-apiserver": "exit 0", etcd: "exit 0", kubectl: "exit 0" };
const distribution3 = { registry: "echo registry github.com/distribution/distribution/v3 v3.2.1" };

describe("where programs are looked for", () => {
  test("KUBEBUILDER_ASSETS comes before PATH", async (t) => {
    const assets = await folderWith(t, controlPlane);
    const path = await folderWith(t, controlPlane);
    const lines: string[] = [];
    const env = { KUBEBUILDER_ASSETS: assets, PATH: path, HOME: await emptyFolder(t) };
    const found = await findControlPlanePrograms({ env, announce: (line) => lines.push(line) });
    assert.deepEqual(found, {
      "kube-apiserver": join(assets, "kube-apiserver"),
      etcd: join(assets, "etcd"),
      kubectl: join(assets, "kubectl"),
    });
    assert.deepEqual(
      lines,
      Object.entries(found).map(([name, file]) => `${name}: ${file}`),
    );
  });

  test("PATH gives what the assets do not have", async (t) => {
    const assets = await folderWith(t, { "kube-apiserver": "exit 0", etcd: "exit 0" });
    const path = await folderWith(t, { kubectl: "exit 0" });
    const env = { KUBEBUILDER_ASSETS: assets, PATH: `/nowhere:${path}`, HOME: await emptyFolder(t) };
    const found = await findControlPlanePrograms({ env, announce: () => {} });
    assert.equal(found.kubectl, join(path, "kubectl"));
  });

  test("the cache is looked into last", async (t) => {
    const cache = await emptyFolder(t);
    const folder = join(cache, "slipway", `${registrySource.name}-${registrySource.version}`);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "registry"), "#!/bin/sh\necho registry v3.1.1\n");
    await chmod(join(folder, "registry"), 0o755);
    const env = { PATH: "", XDG_CACHE_HOME: cache };
    assert.equal(await findRegistryProgram({ env, announce: () => {} }), join(folder, "registry"));
  });

  test("a registry of version 2 is passed over, and that is said", async (t) => {
    const old = await folderWith(t, { registry: "echo /usr/bin/registry github.com/docker/distribution 2.8.3" });
    const good = await folderWith(t, distribution3);
    const lines: string[] = [];
    const env = { PATH: `${old}:${good}`, HOME: await emptyFolder(t) };
    assert.equal(await findRegistryProgram({ env, announce: (line) => lines.push(line) }), join(good, "registry"));
    assert.match(lines[0] ?? "", /is passed over.*2\.8\.3/);
  });
});

/** A server on loopback that answers every path with `archive`. */
async function serve(t: TestContext, archive: Buffer): Promise<string> {
  const server = createServer((_request, response) => response.end(archive));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/archive.tar.gz`;
}

async function archiveWith(t: TestContext, program: string): Promise<Buffer> {
  const folder = await emptyFolder(t);
  await mkdir(join(folder, "deep"));
  await writeFile(join(folder, "deep", program), "#!/bin/sh\necho downloaded\n");
  await runToEnd({ command: "tar", args: ["-czf", join(folder, "a.tar.gz"), "-C", folder, "deep"] });
  return readFile(join(folder, "a.tar.gz"));
}

describe("a download", () => {
  const sha256 = (content: Buffer) => createHash("sha256").update(content).digest("hex");

  test("leaves the named program, executable, wherever it lay in the archive", async (t) => {
    const archive = await archiveWith(t, "registry");
    const [folder, scratch] = [await emptyFolder(t), await emptyFolder(t)];
    const url = await serve(t, archive);
    const outcome = await downloadPrograms({
      archive: { url, algorithm: "sha256", checksum: sha256(archive) },
      programs: ["registry"],
      folder,
      scratch,
    });
    assert.deepEqual(outcome, { kind: "done" });
    assert.equal(await runToEnd({ command: join(folder, "registry"), args: [] }), "downloaded\n");
  });

  test("with another checksum is refused before anything is unpacked", async (t) => {
    const archive = await archiveWith(t, "registry");
    const [folder, scratch] = [await emptyFolder(t), await emptyFolder(t)];
    const url = await serve(t, archive);
    const pinned = { url, algorithm: "sha256", checksum: sha256(Buffer.from("other")) } as const;
    const attempt = downloadPrograms({ archive: pinned, programs: ["registry"], folder, scratch });
    await assert.rejects(attempt, { code: "DOWNLOAD_INVALID" });
    assert.deepEqual(await readdir(folder), []);
    assert.deepEqual(await readdir(scratch), ["archive.tar.gz"]);
  });

  test("without the program in it is refused", async (t) => {
    const archive = await archiveWith(t, "other");
    const url = await serve(t, archive);
    const pinned = { url, algorithm: "sha256", checksum: sha256(archive) } as const;
    const [folder, scratch] = [await emptyFolder(t), await emptyFolder(t)];
    const attempt = downloadPrograms({ archive: pinned, programs: ["registry"], folder, scratch });
    await assert.rejects(attempt, { code: "DOWNLOAD_INVALID" });
  });

  test("that cannot be reached says why, so that the build can follow", async (t) => {
    const scratch = await emptyFolder(t);
    const outcome = await downloadPrograms({
      archive: { url: "http://127.0.0.1:1/a.tar.gz", algorithm: "sha256", checksum: "" },
      programs: [],
      folder: scratch,
      scratch,
    });
    assert.equal(outcome.kind, "unreachable");
    assert.match(outcome.kind === "unreachable" ? outcome.reason : "", /ECONNREFUSED|bad port/);
  });
});

test("every pinned checksum has the length of its algorithm, and every archive the pinned version in its address", () => {
  for (const { archives, version } of [controlPlaneSource, registrySource]) {
    for (const [platform, { url, algorithm, checksum }] of Object.entries(archives)) {
      assert.match(checksum, algorithm === "sha256" ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{128}$/, platform);
      assert.ok(url.startsWith("https://github.com/") && url.includes(version), url);
    }
  }
});

test("the Go modules pin the versions of the downloads", async () => {
  const module = async (name: string) =>
    readFile(new URL(`../../scripts/programs/${name}/go.mod`, import.meta.url), "utf8");
  const { version } = controlPlaneSource;
  assert.match(await module("control-plane"), new RegExp(`^\\tk8s\\.io/kubernetes ${version}\\b`, "m"));
  const distribution = new RegExp(`\\bgithub\\.com/distribution/distribution/v3 ${registrySource.version}\\b`);
  assert.match(await module("registry"), distribution);
});
