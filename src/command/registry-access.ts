import type { Command } from "commander";
import { systemClock } from "../clock.ts";
import { createTransport } from "../cluster/client.ts";
import { createClusterApi } from "../cluster/kubernetes-api.ts";
import { createPortForward } from "../cluster/port-forward.ts";
import type { Login } from "../credential/login.ts";
import { SlipwayError } from "../errors.ts";
import { createLog } from "../log.ts";
import { type Reached, type ReachOptions, reachRegistry } from "../registry/reach.ts";
import { RegistryError } from "../registry/registry-error.ts";
import { readStateFile, readText, type StateFile } from "../registry/state-file.ts";
import { readBundle } from "../tls/certificate.ts";
import type { CommandContext } from "./program.ts";

/** The flags by which every command of the user finds the registry. */
export type RegistryFlags = {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly registry?: string;
  readonly caFile?: string;
  readonly username?: string;
  readonly passwordFile?: string;
  readonly state?: string;
};

/** Longer than it takes to replace the pod of a registry on a volume, even one that kubelet kills after its 30 s. */
const patienceMs = 60_000;

/** Adds the flags to a command. */
export function addRegistryFlags(command: Command): Command {
  return command
    .option("--kubeconfig <file>", "kubeconfig; as kubectl finds it unless given")
    .option("--context <name>", "context of the kubeconfig")
    .option("--registry <url>", "address of the registry, e.g. https://registry.example.com; found unless given")
    .option("--ca-file <file>", "PEM certificates that the registry's one is signed by")
    .option("--username <name>", "login of your own instead of the admin's")
    .option("--password-file <file>", "file with the password of --username")
    .option("--state <file>", "dev.json of `slipway dev --state DIR`, which tells all of the above");
}

/**
 * Reaches the registry, does `work` with it and closes what was opened.
 *
 * @throws SlipwayError, ApiError; RegistryErrors of `work` come as SlipwayError REGISTRY_FAILED
 */
export async function withRegistry(
  flags: RegistryFlags,
  context: CommandContext,
  work: (reached: Reached) => Promise<number>,
): Promise<number> {
  const state = flags.state === undefined ? undefined : await readStateFile(flags.state);
  const options = await readOptions(flags, state);
  const source = {
    kubeconfig: flags.kubeconfig ?? state?.kubeconfig ?? context.env.KUBECONFIG,
    context: flags.context,
  };
  const needsNoCluster = flags.registry !== undefined && options.login !== undefined && state === undefined;
  const log = createLog({ level: "silent" });
  const shared = { clock: systemClock, random: Math.random };
  const transport = needsNoCluster ? undefined : createTransport({ ...source, ...shared, log });
  let reached: Reached | undefined;
  try {
    const cluster = transport && {
      api: createClusterApi(transport),
      portForward: () => createPortForward({ ...source, clock: systemClock, log }),
    };
    reached = await reachRegistry({ options, cluster, patienceMs, ...shared }, context.stop);
    return await work(reached);
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    throw new SlipwayError("REGISTRY_FAILED", explain(error), { cause: error });
  } finally {
    reached?.client.close();
    await transport?.close();
  }
}

async function readOptions(flags: RegistryFlags, state: StateFile | undefined): Promise<ReachOptions> {
  return {
    url: flags.registry === undefined ? state?.url : readUrl(flags.registry),
    ca: flags.caFile === undefined ? state?.ca : await readAuthorities(flags.caFile),
    login: (await readLoginFlags(flags)) ?? state?.login,
  };
}

/** `host[:port]`, as images have it, means https. */
function readUrl(text: string): string {
  const url = /^https?:\/\//.test(text) ? text : `https://${text}`;
  if (URL.canParse(url) && new URL(url).pathname === "/") return url;
  throw new SlipwayError("CONFIG_INVALID", `--registry is '${text}'; give host[:port] or https://host[:port]`);
}

async function readAuthorities(file: string): Promise<string> {
  const text = await readText(file);
  if (readBundle(text).length > 0) return text;
  throw new SlipwayError("CONFIG_INVALID", `--ca-file ${file} holds no certificate in PEM`);
}

async function readLoginFlags(flags: RegistryFlags): Promise<Login | undefined> {
  const { username, passwordFile } = flags;
  if (username === undefined && passwordFile === undefined) return undefined;
  if (username === undefined || passwordFile === undefined) {
    throw new SlipwayError("CONFIG_INVALID", "--username and --password-file belong together");
  }
  return { username, password: (await readText(passwordFile)).replace(/\r?\n$/, "") };
}

function explain(error: RegistryError): string {
  if (error.status === 401 || error.status === 403) return `${error.message}; the login has no right to it`;
  if (error.status === 405) return `${error.message}; the registry may be read-only (LocalRegistry spec.maintenance)`;
  return error.message;
}
