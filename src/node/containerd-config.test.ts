import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { judgeConfigPath, mergeConfigs, readRegistryConfig } from "./containerd-config.ts";
import { readContainerdConfig } from "./containerd-files.ts";
import { canonicalPath, layouts } from "./layout.ts";

const certsPath = "/etc/containerd/certs.d";
const version2 = (path: string) =>
  `version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = ${path}\n`;
const version3 = (path: string, more = "") =>
  `version = 3\n[plugins.'io.containerd.cri.v1.images']\n${more}\n[plugins.'io.containerd.cri.v1.images'.registry]\n  config_path = ${path}\n`;
const both = "'/etc/containerd/certs.d:/etc/docker/certs.d'";

describe("whether containerd reads certs.d", () => {
  const cases = [
    { name: "1.7 with config_path set does", text: version2(`"${certsPath}"`), version: "1.7.28", reason: undefined },
    {
      name: "2.1 with config_path set does (kind)",
      text: version3(`"${certsPath}"`),
      version: "2.1.9",
      reason: undefined,
    },
    { name: "2.2 with one folder does", text: version3(`"${certsPath}/"`), version: "2.2.1", reason: undefined },
    { name: "1.7 without it does not", text: "version = 2\n", version: "1.7.28", reason: "ConfigPathUnset" },
    { name: "2.1 without it does not", text: "version = 3\n", version: "2.1.4", reason: "ConfigPathUnset" },
    { name: "without any file it does not before 2.2", text: "", version: "2.0.0", reason: "ConfigPathUnset" },
    { name: "an empty value counts as unset", text: version2('""'), version: "2.2.0", reason: "ConfigPathUnset" },
    {
      name: "the default of 2.2 names two folders, which its pulls ignore",
      text: "",
      version: "2.2.1",
      reason: "ConfigPathList",
    },
    { name: "a list works before 2.1", text: version2(both), version: "1.7.28", reason: undefined },
    { name: "a list is ignored from 2.1", text: version3(both), version: "2.1.4", reason: "ConfigPathList" },
    {
      name: "a list works where layers are discarded, which keeps the old way of pulling (EKS)",
      text: version3(both, "discard_unpacked_layers = true"),
      version: "2.1.4",
      reason: undefined,
    },
    {
      name: "a list works with use_local_image_pull",
      text: version3(both, "use_local_image_pull = true"),
      version: "2.2.1",
      reason: undefined,
    },
    {
      name: "another folder is told",
      text: version2('"/cfg/certs.d"'),
      version: "1.7.28",
      reason: "ConfigPathElsewhere",
    },
    {
      name: "an unknown version without config_path counts as unset",
      text: "",
      version: undefined,
      reason: "ConfigPathUnset",
    },
    {
      name: "version 1 of the file has its own table",
      text: `[plugins.cri.registry]\nconfig_path = "${certsPath}"`,
      version: "1.6.20",
      reason: undefined,
    },
  ] as const;
  for (const { name, text, version, reason } of cases) {
    test(name, () => assert.equal(judgeConfigPath(readRegistryConfig(text), { certsPath, version })?.reason, reason));
  }

  test("unset says what to set, and what to move first", () => {
    const text =
      '[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]\nendpoint = ["https://mirror.example.com"]';
    const failure = judgeConfigPath(readRegistryConfig(text), { certsPath, version: "1.7.0" });
    assert.match(failure?.message ?? "", /config_path = "\/etc\/containerd\/certs\.d".*registry\.mirrors/);
  });

  test("microk8s names the folder by the snap's revision", () => {
    const text = version2('"/var/snap/microk8s/8511/args/certs.d"');
    const { certsPath: path } = layouts.microk8s;
    assert.equal(judgeConfigPath(readRegistryConfig(text), { certsPath: path, version: "1.7.27" }), undefined);
    assert.equal(canonicalPath(`\${SNAP_DATA}/args/certs.d`), path);
  });

  test("k3s generates a file that names its own folder", () => {
    const text = version3(`"${layouts.k3s.certsPath}"`);
    const { certsPath: path } = layouts.k3s;
    assert.equal(judgeConfigPath(readRegistryConfig(text), { certsPath: path, version: "2.1.5-k3s1" }), undefined);
    assert.equal(
      judgeConfigPath(readRegistryConfig(text), { certsPath, version: "2.1.5-k3s1" })?.reason,
      "ConfigPathElsewhere",
    );
  });

  test("a later file overrides an earlier one", () => {
    const merged = mergeConfigs([version3('""'), version3(`"${certsPath}"`)].map(readRegistryConfig));
    assert.equal(merged.configPath, certsPath);
  });
});

describe("the files of containerd's configuration", () => {
  const at = { mounted: "/host/containerd/config.toml", path: "/etc/containerd/config.toml" };
  const diskOf = (files: Readonly<Record<string, string>>) => ({
    read: async (path: string) => files[path],
    list: async (folder: string) =>
      Object.keys(files)
        .filter((path) => path.startsWith(`${folder}/`))
        .map((path) => path.slice(folder.length + 1)),
  });

  test("imports are read where they are mounted", async () => {
    const disk = diskOf({
      "/host/containerd/config.toml": 'version = 3\nimports = ["/etc/containerd/conf.d/*.toml", "/opt/other.toml"]',
      "/host/containerd/conf.d/10-registry.toml": version3(`"${certsPath}"`),
      "/host/containerd/conf.d/notes.md": "not TOML",
    });
    assert.equal((await readContainerdConfig(disk, at)).configPath, certsPath);
  });
  test("a relative import is relative to the main file", async () => {
    const disk = diskOf({
      "/host/containerd/config.toml": 'imports = ["registry.toml"]',
      "/host/containerd/registry.toml": version3(`"${certsPath}"`),
    });
    assert.equal((await readContainerdConfig(disk, at)).configPath, certsPath);
  });
  test("a missing file is an empty one", async () => {
    assert.equal((await readContainerdConfig(diskOf({}), at)).configPath, undefined);
  });
  test("a file that is no TOML is an error", async () => {
    const disk = diskOf({ "/host/containerd/config.toml": "version = = 3" });
    await assert.rejects(readContainerdConfig(disk, at), { code: "CONFIG_INVALID" });
  });
});
