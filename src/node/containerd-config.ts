import { canonicalPath } from "./layout.ts";
import type { Failure } from "./strategy.ts";
import { isTable, readToml, type TomlTable, type TomlValue } from "./toml.ts";

/** What the configuration of containerd says about registries. */
export type RegistryConfig = {
  /** undefined: not set, the default of the version counts. */
  readonly configPath: string | undefined;
  /** `registry.mirrors` or `registry.configs` are set, which excludes `config_path`. */
  readonly hasInlineRegistries: boolean;
  /** containerd pulls by its own client, as before 2.1, and not by its transfer service. */
  readonly pullsLocally: boolean;
  /** Files that are included; globs are allowed in the last segment. */
  readonly imports: readonly string[];
};

const emptyConfig: RegistryConfig = {
  configPath: undefined,
  hasInlineRegistries: false,
  pullsLocally: false,
  imports: [],
};

/** Where the images part of the CRI plugin stands, by configuration version 3, 2 and 1. */
const pluginNames = ["io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri", "cri"];

/**
 * Reads one file of containerd's configuration.
 *
 * @throws SlipwayError CONFIG_INVALID when it is not TOML
 * @see https://github.com/containerd/containerd/blob/main/docs/cri/config.md
 */
export function readRegistryConfig(text: string): RegistryConfig {
  const root = readToml(text);
  const plugins = tableOf(root, "plugins");
  const plugin = pluginNames.map((name) => plugins[name]).filter(isTable);
  const registries = plugin.map((table) => tableOf(table, "registry"));
  return {
    configPath: registries.map((registry) => registry.config_path).find((path) => typeof path === "string"),
    hasInlineRegistries: registries.some((registry) => isFilled(registry.mirrors) || isFilled(registry.configs)),
    pullsLocally: plugin.some(pullsLocally),
    imports: strings(root.imports),
  };
}

/**
 * Settings with which containerd ≥ 2.1 does not use its transfer service for kubelet's pulls.
 *
 * @see https://github.com/containerd/containerd/blob/main/internal/cri/config/config.go (CheckLocalImagePullConfigs)
 */
function pullsLocally(plugin: TomlTable): boolean {
  return (
    plugin.use_local_image_pull === true ||
    plugin.discard_unpacked_layers === true ||
    plugin.disable_snapshot_annotations === false ||
    plugin.image_pull_with_sync_fs === true
  );
}

/** A later file overrides an earlier one, as containerd merges its imports. */
export function mergeConfigs(files: readonly RegistryConfig[]): RegistryConfig {
  return files.reduce(
    (merged, file) => ({
      configPath: file.configPath ?? merged.configPath,
      hasInlineRegistries: merged.hasInlineRegistries || file.hasInlineRegistries,
      pullsLocally: merged.pullsLocally || file.pullsLocally,
      imports: [...merged.imports, ...file.imports],
    }),
    emptyConfig,
  );
}

/**
 * Whether the runtime reads files below `certsPath`, and what to set when it does not. Setting it needs a restart of
 * containerd, which is left to whoever runs the nodes.
 *
 * Up to 2.1 `config_path` is empty unless set. From 2.2 its default is a list of two folders; the transfer service,
 * which 2.1 and later pull by, takes such a list for the name of one folder, so that files in neither are found.
 *
 * @param version of containerd, as the node reports it; undefined when it does not
 * @see https://github.com/containerd/containerd/issues/12808
 * @see https://github.com/containerd/containerd/issues/12415
 */
export function judgeConfigPath(
  config: RegistryConfig,
  { certsPath, version }: { readonly certsPath: string; readonly version: string | undefined },
): Failure | undefined {
  const at = parseVersion(version);
  const path = config.configPath ?? defaultConfigPath(at);
  const advice = `set config_path = "${certsPath}" in the registry table of containerd's CRI plugin and restart it`;
  if (path === "") {
    const clash = config.hasInlineRegistries ? ", after moving registry.mirrors and registry.configs there" : "";
    return {
      reason: "ConfigPathUnset",
      message: `containerd reads no files for registries; ${advice}${clash}, or use LoopbackProxy`,
    };
  }
  const folders = path.split(":").map(canonicalPath);
  if (!folders.includes(canonicalPath(certsPath))) {
    return {
      reason: "ConfigPathElsewhere",
      message: `containerd reads ${path}, the agent writes ${certsPath}; use the overlay for this layout, or ${advice}`,
    };
  }
  if (folders.length > 1 && !isBefore(at, [2, 1]) && !config.pullsLocally) {
    return {
      reason: "ConfigPathList",
      message: `containerd ${version ?? "of unknown version"} ignores config_path when it names more than one folder (${path}, containerd issue 12808); ${advice}, or use LoopbackProxy`,
    };
  }
  return undefined;
}

function defaultConfigPath(version: readonly [number, number] | undefined): string {
  return version === undefined || isBefore(version, [2, 2]) ? "" : "/etc/containerd/certs.d:/etc/docker/certs.d";
}

function parseVersion(text: string | undefined): readonly [number, number] | undefined {
  const [, major, minor] = /^v?(\d+)\.(\d+)/.exec(text ?? "") ?? [];
  return major === undefined || minor === undefined ? undefined : [Number(major), Number(minor)];
}

function isBefore(version: readonly [number, number] | undefined, limit: readonly [number, number]): boolean {
  if (version === undefined) return false;
  return version[0] < limit[0] || (version[0] === limit[0] && version[1] < limit[1]);
}

function tableOf(table: TomlTable, key: string): TomlTable {
  const value = table[key];
  return isTable(value) ? value : {};
}

function isFilled(value: TomlValue | undefined): boolean {
  return isTable(value) && Object.keys(value).length > 0;
}

function strings(value: TomlValue | undefined): readonly string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === "string") : [];
}
