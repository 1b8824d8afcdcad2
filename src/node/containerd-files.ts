import { mergeConfigs, type RegistryConfig, readRegistryConfig } from "./containerd-config.ts";
import type { Disk } from "./disk.ts";

const importsLimit = 50;

/**
 * Reads containerd's configuration with the files that it includes, as far as they lie in the folder that is
 * mounted. A missing file is an empty one: containerd then runs on its defaults.
 *
 * @param at.mounted the main file as this process sees it
 * @param at.path the same file on the host, against which imports are resolved
 * @throws SlipwayError CONFIG_INVALID when a file is not TOML; the system's error when one cannot be read
 */
export async function readContainerdConfig(
  disk: Pick<Disk, "read" | "list">,
  at: { readonly mounted: string; readonly path: string },
): Promise<RegistryConfig> {
  const main = readRegistryConfig((await disk.read(at.mounted)) ?? "");
  const files = [main];
  const hostFolder = folderOf(at.path);
  for (const pattern of main.imports.slice(0, importsLimit)) {
    const absolute = pattern.startsWith("/") ? pattern : `${hostFolder}/${pattern}`;
    if (!absolute.startsWith(`${hostFolder}/`)) continue;
    const mounted = `${folderOf(at.mounted)}${absolute.slice(hostFolder.length)}`;
    for (const path of await expand(disk, mounted)) {
      files.push(readRegistryConfig((await disk.read(path)) ?? ""));
    }
  }
  return mergeConfigs(files);
}

/** Expands `*` in the last segment, in order of name. */
async function expand(disk: Pick<Disk, "list">, pattern: string): Promise<readonly string[]> {
  const folder = folderOf(pattern);
  const last = pattern.slice(folder.length + 1);
  if (!last.includes("*")) return [pattern];
  const literals = last.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const matches = new RegExp(`^${literals.join("[^/]*")}$`);
  const names = (await disk.list(folder)) ?? [];
  return names
    .filter((name) => matches.test(name))
    .slice(0, importsLimit)
    .map((name) => `${folder}/${name}`);
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}
