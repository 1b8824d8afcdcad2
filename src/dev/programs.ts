import { access, constants, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { SlipwayError } from "../errors.ts";
import { downloadPrograms } from "./download.ts";
import { controlPlaneSource, type ProgramSource, registrySource } from "./program-source.ts";
import { runToEnd } from "./run-to-end.ts";

/** Absolute paths of what an embedded control plane consists of. */
export type ControlPlanePrograms = {
  readonly "kube-apiserver": string;
  readonly etcd: string;
  readonly kubectl: string;
};

export type FindPrograms = {
  /** The environment of the process: KUBEBUILDER_ASSETS, PATH, XDG_CACHE_HOME and HOME are read, and handed to go. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Told one line about each step, before it begins when it takes long. */
  readonly announce: (line: string) => void;
};

/**
 * Finds kube-apiserver, etcd and kubectl: in KUBEBUILDER_ASSETS, on PATH, in the cache
 * (`$XDG_CACHE_HOME/slipway` or `~/.cache/slipway`); else fetches them into the cache by the envtest release download
 * with a pinned checksum, or builds them with Go where the download cannot be reached.
 *
 * @throws SlipwayError PROGRAM_MISSING when every way is closed (says which were tried); DOWNLOAD_INVALID on a wrong
 *   checksum; PROGRAM_FAILED when a build fails
 */
export async function findControlPlanePrograms(needs: FindPrograms): Promise<ControlPlanePrograms> {
  const found = await findAll(controlPlaneSource, needs);
  const path = (name: keyof ControlPlanePrograms) => found.get(name) ?? "";
  return { "kube-apiserver": path("kube-apiserver"), etcd: path("etcd"), kubectl: path("kubectl") };
}

/**
 * Finds `registry` of CNCF Distribution 3 by the same steps. A `registry` of version 2 is passed over.
 *
 * @throws as findControlPlanePrograms
 */
export async function findRegistryProgram(needs: FindPrograms): Promise<string> {
  return (await findAll(registrySource, needs)).get("registry") ?? "";
}

async function findAll(source: ProgramSource, needs: FindPrograms): Promise<ReadonlyMap<string, string>> {
  const cached = join(cacheRoot(needs.env), `${source.name}-${source.version}`);
  const found = await lookAround(source, needs, cached);
  if (found.size < source.programs.length) {
    await obtain(source, needs, cached);
    for (const name of source.programs) if (!found.has(name)) found.set(name, join(cached, name));
  }
  for (const [name, path] of found) needs.announce(`${name}: ${path}`);
  return found;
}

async function lookAround(source: ProgramSource, needs: FindPrograms, cached: string): Promise<Map<string, string>> {
  const assets = needs.env.KUBEBUILDER_ASSETS;
  const folders = [...(assets ? [assets] : []), ...(needs.env.PATH ?? "").split(delimiter), cached];
  const found = new Map<string, string>();
  for (const name of source.programs) {
    for (const folder of folders.filter((entry) => entry !== "")) {
      const path = join(folder, name);
      if (!(await isUsable(path, needs))) continue;
      found.set(name, path);
      break;
    }
  }
  return found;
}

async function isUsable(path: string, needs: FindPrograms): Promise<boolean> {
  if (!(await exists(path, constants.X_OK))) return false;
  if (!path.endsWith("/registry")) return true;
  const version = await runToEnd({ command: path, args: ["--version"] });
  if (!/\sv?2\.\d/.test(version)) return true;
  needs.announce(`registry: ${path} is passed over, it is ${version.trim()} and 3.1 or later is needed`);
  return false;
}

/** Fills the cache folder whole or not at all: a second process that does the same at the same time does no harm. */
async function obtain(source: ProgramSource, needs: FindPrograms, cached: string): Promise<void> {
  await mkdir(dirname(cached), { recursive: true });
  const scratch = await mkdtemp(`${cached}.part-`);
  const folder = join(scratch, "programs");
  try {
    const reason = await download(source, needs, { folder, scratch });
    if (reason !== undefined) await build(source, needs, { folder, reason });
    await moveInto(folder, cached);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function moveInto(folder: string, cached: string): Promise<void> {
  await rm(cached, { recursive: true, force: true });
  try {
    await rename(folder, cached);
  } catch (error) {
    // Another process was faster; its folder is as good as this one.
    if ((error as { code?: unknown }).code !== "ENOTEMPTY") throw error;
  }
}

/** @returns why there is no download, or undefined when it is done */
async function download(
  source: ProgramSource,
  needs: FindPrograms,
  into: { readonly folder: string; readonly scratch: string },
): Promise<string | undefined> {
  const platform = `${process.platform}-${process.arch}`;
  const archive = source.archives[platform];
  if (archive === undefined) return `no release archive is known for ${platform}`;
  needs.announce(`${source.programs.join(", ")}: downloading ${archive.url}`);
  const outcome = await downloadPrograms({ archive, programs: source.programs, ...into });
  return outcome.kind === "done" ? undefined : `${archive.url} cannot be fetched (${outcome.reason})`;
}

async function build(
  source: ProgramSource,
  needs: FindPrograms,
  into: { readonly folder: string; readonly reason: string },
): Promise<void> {
  const { module, packages, linkerFlags, usually } = source.build;
  const names = source.programs.join(", ");
  needs.announce(`${source.name}: ${into.reason}`);
  const directory = await moduleFolder(module);
  const obstacle = directory === undefined ? "only a checkout can build them" : await missingGo(needs.env);
  if (directory === undefined || obstacle !== undefined) {
    const advice = "set KUBEBUILDER_ASSETS to a folder that has the programs";
    throw new SlipwayError("PROGRAM_MISSING", `${names}: ${into.reason}; ${obstacle}; ${advice}`);
  }
  needs.announce(`${names} ${source.version}: building with go in ${directory} (${usually})`);
  const flags = ["-trimpath", "-ldflags", `-s -w ${linkerFlags}`];
  const env = { ...needs.env, CGO_ENABLED: "0" };
  for (const [program, name] of Object.entries(packages)) {
    const args = ["build", ...flags, "-o", join(into.folder, program), name];
    await runToEnd({ command: "go", args, directory, env });
  }
}

/** From src/dev in a checkout, from dist in a bundle. */
async function moduleFolder(module: string): Promise<string | undefined> {
  for (const up of ["../../", "../"]) {
    const folder = fileURLToPath(new URL(`${up}scripts/programs/${module}`, import.meta.url));
    if (await exists(join(folder, "go.mod"))) return folder;
  }
  return undefined;
}

/** @returns what is missing, or undefined where go runs */
async function missingGo(env: FindPrograms["env"]): Promise<string | undefined> {
  try {
    await runToEnd({ command: "go", args: ["version"], env });
    return undefined;
  } catch (error) {
    if (error instanceof SlipwayError) return "there is no Go tool chain to build them (https://go.dev/dl)";
    throw error;
  }
}

async function exists(path: string, mode: number = constants.R_OK): Promise<boolean> {
  try {
    await access(path, mode);
    return true;
  } catch {
    return false;
  }
}

function cacheRoot(env: FindPrograms["env"]): string {
  const root = env.XDG_CACHE_HOME;
  return join(root === undefined || root === "" ? join(env.HOME ?? homedir(), ".cache") : root, "slipway");
}
