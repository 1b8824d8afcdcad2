import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { writeHostFile } from "./host-file-writer.ts";
import { hostFiles } from "./host-files.ts";
import { readToml } from "./toml.ts";

const ca = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
const host = "registry.example.com:5000";
const paths = (files: ReturnType<typeof hostFiles>) => files.map(({ path }) => path);

describe("files for a host that is no node", () => {
  test("containerd gets a folder in certs.d, the CA before the file that names it", () => {
    const files = hostFiles("containerd", { hosts: [host], server: undefined, ca });
    assert.deepEqual(paths(files), [
      "/etc/containerd/certs.d/registry.example.com:5000/ca.crt",
      "/etc/containerd/certs.d/registry.example.com:5000/hosts.toml",
    ]);
    const toml = readToml(files[1]?.text ?? "");
    assert.equal(toml.server, "https://registry.example.com:5000");
    assert.equal(toml.ca, files[0]?.path);
  });
  test("docker gets the CA, and nothing where the system's trust is enough", () => {
    const options = { hosts: [host, "builds.example.com"], server: undefined };
    assert.deepEqual(paths(hostFiles("docker", { ...options, ca })), [
      "/etc/docker/certs.d/registry.example.com:5000/ca.crt",
      "/etc/docker/certs.d/builds.example.com/ca.crt",
    ]);
    assert.deepEqual(hostFiles("docker", { ...options, ca: undefined }), []);
  });
  test("CRI-O gets the CA for where it connects to, and a drop-in that says where that is", () => {
    const direct = hostFiles("cri-o", { hosts: [host], server: undefined, ca });
    assert.deepEqual(paths(direct), ["/etc/containers/certs.d/registry.example.com:5000/ca.crt"]);
    const [certificate, dropIn] = hostFiles("cri-o", { hosts: [host], server: "https://192.0.2.7:5443", ca });
    assert.equal(certificate?.path, "/etc/containers/certs.d/192.0.2.7:5443/ca.crt");
    assert.equal(dropIn?.path, "/etc/containers/registries.conf.d/90-slipway-registry.example.com_5000.conf");
    assert.match(dropIn?.text ?? "", /prefix = "registry.example.com:5000"\nlocation = "192.0.2.7:5443"/);
  });
});

/** Byte for byte what is written, so that a change of a file on somebody's host shows in a review. */
describe("the files of a host", () => {
  const options = { hosts: [host], server: "https://192.0.2.7:32000", ca };
  const head = "# Written by slipway node-files: run it again to change this file.\n";

  test("with containerd", () => {
    const [certificate, hosts] = hostFiles("containerd", options);
    assert.equal(certificate?.text, `${head}${ca}`);
    assert.equal(
      hosts?.text,
      `${head}server = "https://192.0.2.7:32000"
ca = "/etc/containerd/certs.d/registry.example.com:5000/ca.crt"

[host."https://192.0.2.7:32000"]
  capabilities = ["pull", "resolve", "push"]
  ca = "/etc/containerd/certs.d/registry.example.com:5000/ca.crt"
`,
    );
  });
  test("with CRI-O", () => {
    const [certificate, dropIn] = hostFiles("cri-o", options);
    assert.equal(certificate?.text, `${head}${ca}`);
    assert.equal(
      dropIn?.text,
      `${head}
[[registry]]
prefix = "registry.example.com:5000"
location = "192.0.2.7:32000"
`,
    );
  });
  test("with Docker", () => {
    assert.deepEqual(
      hostFiles("docker", options).map(({ text }) => text),
      [`${head}${ca}`],
    );
  });
});

describe("writing such a file", () => {
  const file = {
    path: "/etc/docker/certs.d/registry.example.com/ca.crt",
    text: "# Written by slipway node-files\none\n",
  };

  async function folder(t: TestContext): Promise<string> {
    const root = await mkdtemp(join(tmpdir(), "slipway-node-files-"));
    t.after(() => rm(root, { recursive: true }));
    return root;
  }

  test("makes the folders, twice is once, and a new content replaces an old one of ours", async (t) => {
    const root = await folder(t);
    const kinds = [];
    for (const text of [file.text, file.text, `${file.text}two\n`]) {
      kinds.push((await writeHostFile(root, { ...file, text })).kind);
    }
    assert.deepEqual(kinds, ["written", "unchanged", "written"]);
    assert.equal(await readFile(join(root, file.path), "utf8"), `${file.text}two\n`);
    assert.equal((await stat(join(root, file.path))).mode & 0o777, 0o644);
  });
  test("never replaces somebody else's", async (t) => {
    const root = await folder(t);
    await writeHostFile(root, file);
    await writeFile(join(root, file.path), "theirs");
    assert.equal((await writeHostFile(root, file)).kind, "foreign");
    assert.equal(await readFile(join(root, file.path), "utf8"), "theirs");
  });
  test("tells why it cannot", async (t) => {
    const root = await folder(t);
    await writeFile(join(root, "etc"), "a file where a folder should be");
    const outcome = await writeHostFile(root, file);
    assert.equal(outcome.kind === "refused" ? outcome.code : outcome.kind, "ENOTDIR");
  });
});
