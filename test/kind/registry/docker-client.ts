import { spawnSync } from "node:child_process";
import { access, constants, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Cluster, execute } from "../cluster.ts";
import { slipway } from "../slipway.ts";

const certificates = "/etc/docker/certs.d";

/** docker and skopeo of this machine with a configuration of their own, made by `slipway login`. */
export type DockerClient = {
  /** `host[:port]` that `slipway login` chose. */
  readonly host: string;
  /** Folder with `ca.crt`, as skopeo takes it. */
  readonly certificatesFolder: string;
  readonly authFile: string;
  docker(...args: readonly string[]): Promise<string>;
  skopeo(...args: readonly string[]): Promise<string>;
};

/** Why docker cannot be given a CA here; undefined where it can. */
export async function whyNoDockerTrust(): Promise<string | undefined> {
  const isAllowed = await access("/etc/docker", constants.W_OK).then(
    () => true,
    () => false, // absent, or another user's
  );
  return isAllowed ? undefined : "/etc/docker may not be written here, which is where the docker daemon looks for CAs";
}

/** Why skopeo cannot be tried here; undefined where it can. */
export function whyNoSkopeo(): string | undefined {
  return spawnSync("skopeo", ["--version"]).status === 0 ? undefined : "no program skopeo on PATH";
}

/** What a user does first: `slipway login`. What it wrote goes with the test. */
export async function loginDocker(t: TestContext, cluster: Cluster): Promise<DockerClient> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-docker-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const told = await slipway(cluster, ["login"], { DOCKER_CONFIG: folder });
  const [, host] = /^push as ([^/\s]+)\//m.exec(told) ?? [];
  if (host === undefined) throw new Error(`slipway login does not say how to push: ${told}`);
  const written = join(certificates, host);
  const certificatesFolder = (await isFolder(written)) ? written : join(folder, "slipway", host);
  t.after(() => rm(written, { recursive: true, force: true }));
  const env = (args: readonly string[]) => execute("env", [`DOCKER_CONFIG=${folder}`, ...args]);
  return {
    host,
    certificatesFolder,
    authFile: join(folder, "config.json"),
    docker: (...args) => env(["docker", ...args]),
    skopeo: (...args) => env(["skopeo", "--insecure-policy", ...args]),
  };
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false, // not there
  );
}

/** The digest of the one image of an OCI layout. */
export async function digestOfLayout(folder: string): Promise<string> {
  const { manifests } = JSON.parse(await readFile(join(folder, "index.json"), "utf8"));
  return manifests[0].digest;
}
