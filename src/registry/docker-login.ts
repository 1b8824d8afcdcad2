import { spawn } from "node:child_process";
import { mkdir, readFile, realpath, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Login } from "../credential/login.ts";
import { SlipwayError } from "../errors.ts";

export type DockerLoginNeeds = {
  /** The folder of docker's config.json. */
  readonly configDirectory: string;
  /** Of docker-credential-… programs. */
  readonly env: Readonly<Record<string, string | undefined>>;
};

export type DockerLoginOutcome =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "helper"; readonly program: string };

/**
 * Stores a login where docker looks for it: with the credential helper that config.json names for the host, else in
 * config.json itself, whose other content stays.
 *
 * @param host `host[:port]` as in image references
 * @throws SlipwayError CONFIG_INVALID for a config.json that is no JSON object, or cannot be read or written;
 *   PROGRAM_FAILED by a helper
 * @see https://docs.docker.com/reference/cli/docker/login/#credential-stores
 */
export async function storeDockerLogin(
  needs: DockerLoginNeeds,
  host: string,
  login: Login,
): Promise<DockerLoginOutcome> {
  const path = join(needs.configDirectory, "config.json");
  const config = await readConfig(path);
  const helper = helperFor(config, host);
  if (helper !== undefined) {
    const program = `docker-credential-${helper}`;
    await runHelper(program, needs.env, { ServerURL: host, Username: login.username, Secret: login.password });
    await writeConfig(path, { ...config, auths: { ...recordOf(config.auths), [host]: {} } });
    return { kind: "helper", program };
  }
  const auth = Buffer.from(`${login.username}:${login.password}`).toString("base64");
  await writeConfig(path, { ...config, auths: { ...recordOf(config.auths), [host]: { auth } } });
  return { kind: "file", path };
}

async function readConfig(path: string): Promise<Readonly<Record<string, unknown>>> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return {};
    throw inaccessible(path, error);
  }
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed))
      return parsed as Record<string, unknown>;
  } catch {
    // reported below
  }
  throw new SlipwayError("CONFIG_INVALID", `${path}: is no JSON object; mend or remove it`);
}

/**
 * Temporary file and rename: docker may read at any time, and a half-written file would lose every login. A symbolic link
 * stays one, as with docker itself.
 */
async function writeConfig(path: string, config: unknown): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await realpath(path).catch(() => path); // there is none yet
    const temporary = `${file}.slipway-${process.pid}`;
    await writeFile(temporary, `${JSON.stringify(config, null, "\t")}\n`, { mode: 0o600 });
    await rename(temporary, file);
  } catch (error) {
    throw inaccessible(path, error);
  }
}

function inaccessible(path: string, cause: unknown): SlipwayError {
  const { code } = cause as { readonly code?: unknown };
  const message = `${path}: cannot be read and written (${String(code)}); see to whom it belongs, or set DOCKER_CONFIG`;
  return new SlipwayError("CONFIG_INVALID", message, { cause });
}

function helperFor(config: Readonly<Record<string, unknown>>, host: string): string | undefined {
  const named = recordOf(config.credHelpers)[host] ?? config.credsStore;
  return typeof named === "string" && named !== "" ? named : undefined;
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

async function runHelper(program: string, env: DockerLoginNeeds["env"], input: unknown): Promise<void> {
  const child = spawn(program, ["store"], { env, stdio: ["pipe", "ignore", "ignore"] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  child.stdin.on("error", () => undefined); // a helper that ends early is told by its exit code
  child.stdin.end(JSON.stringify(input));
  const code = await ended.catch((error: Error) => {
    throw new SlipwayError("PROGRAM_FAILED", `${program}, which docker's config.json names: ${error.message}`, {
      cause: error,
    });
  });
  if (code !== 0) throw new SlipwayError("PROGRAM_FAILED", `${program} store ended with ${code}`);
}
