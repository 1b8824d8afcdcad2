import assert from "node:assert/strict";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { credentialSourceContract } from "../../test/contract/credential-source.ts";
import { createFileSource } from "./file.ts";

const folders: string[] = [];
const openFolder = async () => {
  const folder = await mkdtemp(join(tmpdir(), "slipway-file-source-"));
  folders.push(folder);
  return folder;
};
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

/** As kubelet does it: a new folder, and `..data` swapped to point at it. */
async function project(folder: string, version: string, content: string): Promise<void> {
  await mkdir(join(folder, version));
  await writeFile(join(folder, version, "config.json"), content);
  await symlink(version, join(folder, "..data_tmp"));
  await rename(join(folder, "..data_tmp"), join(folder, "..data"));
}

credentialSourceContract("a projected file", async () => {
  const folder = await openFolder();
  await symlink("..data/config.json", join(folder, "config.json"));
  let version = 0;
  return {
    source: createFileSource({ folder, path: "config.json" }),
    fill: (content) => project(folder, `..${++version}`, content),
    clear: () => rm(join(folder, "..data")),
  };
});

for (const path of ["../secret.json", "/etc/hosts", "a/../../secret.json"]) {
  test(`a path that leaves the folder is not read: ${path}`, async () => {
    const source = createFileSource({ folder: await openFolder(), path });
    const reading = await source.read(new AbortController().signal);
    assert.equal(reading.kind === "failed" && reading.reason, "SourceInvalid");
  });
}

test("a folder in place of the file is a failed reading", async () => {
  const folder = await openFolder();
  await mkdir(join(folder, "config.json"));
  const reading = await createFileSource({ folder, path: "config.json" }).read(new AbortController().signal);
  assert.equal(reading.kind === "failed" && reading.reason, "FileUnreadable");
});

test("bytes that are no UTF-8 are a failed reading, and no login with other characters", async () => {
  const folder = await openFolder();
  const content = Buffer.concat([
    Buffer.from('{"auths":{"a.example.com":{"username":"u","password":"'),
    Buffer.from([0xe9]),
    Buffer.from('"}}}'),
  ]);
  await writeFile(join(folder, "config.json"), content);
  const reading = await createFileSource({ folder, path: "config.json" }).read(new AbortController().signal);
  assert.equal(reading.kind === "failed" && reading.reason, "ContentUnreadable");
});

test("a byte order mark and CRLF change nothing", async () => {
  const folder = await openFolder();
  const text = '\ufeff{\r\n"auths":{"a.example.com":{"username":"u","password":"p"}}}\r\n';
  await writeFile(join(folder, "config.json"), text);
  const reading = await createFileSource({ folder, path: "config.json" }).read(new AbortController().signal);
  assert.deepEqual(reading.kind === "entries" && Object.keys(reading.entries), ["a.example.com"]);
});
