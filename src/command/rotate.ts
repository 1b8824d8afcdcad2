import { randomUUID } from "node:crypto";
import { systemClock } from "../clock.ts";
import type { ClusterApi } from "../cluster/api.ts";
import { createTransport } from "../cluster/client.ts";
import { createClusterApi } from "../cluster/kubernetes-api.ts";
import { resources } from "../cluster/resource.ts";
import type { LocalRegistrySpec } from "../config/local-registry.ts";
import {
  keyRotationAnnotation,
  registryKeysSecretName,
  rotateKeyAnnotation,
  systemNamespace,
} from "../config/names.ts";
import { createRotationProgress } from "../credential/rotation-progress.ts";
import { SlipwayError } from "../errors.ts";
import { createLog } from "../log.ts";
import { type KeyRotation, parseKeyRotation } from "../registry/key-rotation.ts";
import { readObject } from "../registry/observe.ts";
import { type CommandContext, type CommandRun, createProgram, exitWith, runProgram } from "./program.ts";

type Flags = {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly timeout: string;
  readonly wait: boolean;
};

const lookMs = 300;
const keyAddress = { namespace: systemNamespace, name: registryKeysSecretName };

/** `slipway rotate`: a new key of the local registry, and with it new logins in every namespace, without a gap. */
export const run: CommandRun = async (context) => {
  const program = createProgram(
    context,
    "rotate",
    "Give every namespace a new login of the local registry; the old one works until all have it",
  );
  program
    .option("--kubeconfig <file>", "kubeconfig; as kubectl finds it unless given")
    .option("--context <name>", "context of the kubeconfig")
    .option("--timeout <seconds>", "how long to wait", "600")
    .option("--no-wait", "only start it")
    .action(exitWith(program, (flags: Flags) => rotate(context, flags)));
  return runProgram(program, context);
};

/** @returns 1 where it was not over in time; it goes on without the command */
async function rotate(context: CommandContext, flags: Flags): Promise<number> {
  const timeoutSeconds = Number(flags.timeout);
  if (!(timeoutSeconds > 0)) {
    throw new SlipwayError("CONFIG_INVALID", `--timeout is '${flags.timeout}'; give a number of seconds`);
  }
  const source = { kubeconfig: flags.kubeconfig ?? context.env.KUBECONFIG, context: flags.context };
  const log = createLog({ level: "silent" });
  const transport = createTransport({ ...source, clock: systemClock, random: Math.random, log });
  try {
    const api = createClusterApi(transport);
    const request = await start(api, context);
    return flags.wait ? await follow({ api, context, request, timeoutMs: timeoutSeconds * 1_000 }) : 0;
  } finally {
    await transport.close();
  }
}

/** Asks for a rotation, or joins the one that is under way. @returns its request */
async function start(api: ClusterApi, { stderr, stop }: CommandContext): Promise<string> {
  const registry = await readObject(api, resources.localRegistries, { name: "default" }, stop);
  if (registry === undefined) {
    throw new SlipwayError(
      "CONFIG_INVALID",
      "there is no LocalRegistry default in this cluster; is Slipway installed?",
    );
  }
  const { external } = registry.spec as LocalRegistrySpec;
  if (external?.credentialSecretRef !== undefined) {
    const message = `LocalRegistry default uses the login in Secret ${external.credentialSecretRef.name}; change it there`;
    throw new SlipwayError("CONFIG_INVALID", message);
  }
  const running = await readRotation(api, stop);
  if (running !== undefined && running.phase !== "done") {
    stderr.write("a rotation is under way already; waiting for that one\n");
    return running.request;
  }
  const request = randomUUID();
  const patch = { metadata: { annotations: { [rotateKeyAnnotation]: request } } };
  await api.merge(resources.secrets, keyAddress, patch, stop);
  return request;
}

/** @throws SlipwayError CONFIG_INVALID when there is no key yet */
async function readRotation(api: ClusterApi, signal: AbortSignal): Promise<KeyRotation | undefined> {
  const { namespace, name } = keyAddress;
  const selection = { namespace, fieldSelector: `metadata.name=${name}`, metadataOnly: true };
  const [secret] = await api.list(resources.secrets, selection, signal);
  if (secret === undefined) {
    throw new SlipwayError(
      "CONFIG_INVALID",
      `Secret ${namespace}/${name} does not exist; is the local registry Ready?`,
    );
  }
  return parseKeyRotation(secret.metadata.annotations?.[keyRotationAnnotation]);
}

async function follow(needs: {
  readonly api: ClusterApi;
  readonly context: CommandContext;
  readonly request: string;
  readonly timeoutMs: number;
}): Promise<number> {
  const { api, context, request } = needs;
  const { stdout, stderr, stop } = context;
  const progress = createRotationProgress(stderr);
  const deadlineMs = systemClock.monotonicMs() + needs.timeoutMs;
  try {
    for (;;) {
      const rotation = await readRotation(api, stop);
      if (rotation?.request === request) {
        progress.show(rotation);
        if (rotation.phase === "done") {
          progress.end();
          stdout.write(`${rotation.total} namespaces have a new login; the old ones are refused\n`);
          return 0;
        }
      }
      if (systemClock.monotonicMs() > deadlineMs) break;
      await systemClock.sleep(lookMs, stop);
    }
  } catch (error) {
    if (!stop.aborted) throw error;
  } finally {
    progress.end();
  }
  stderr.write("slipway rotate: not over yet; it goes on by itself, and slipway rotate waits for it again\n");
  return 1;
}
