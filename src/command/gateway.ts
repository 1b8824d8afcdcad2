import { Registry } from "prom-client";
import { systemClock } from "../clock.ts";
import { createAccessReviewer } from "../cluster/access-review.ts";
import { createTransport } from "../cluster/client.ts";
import type { ClusterSource } from "../cluster/kubeconfig.ts";
import { createClusterApi } from "../cluster/kubernetes-api.ts";
import { createReflector } from "../cluster/reflector.ts";
import { type Resource, resources } from "../cluster/resource.ts";
import { createTokenReviewer } from "../cluster/token-review.ts";
import {
  distributionPort,
  gatewayPort,
  registryAdminSecretName,
  registryCertificateSecretName,
  registryKeysSecretName,
  registryProvidedCertificateSecretName,
  registryUsersSecretName,
  systemNamespace,
  tokenSigningSecretName,
} from "../config/names.ts";
import { SlipwayError } from "../errors.ts";
import { createGateway } from "../gateway/gateway.ts";
import { createLoopLag } from "../http/loop-lag.ts";
import { createOperationsServer } from "../http/operations.ts";
import { createLog, type Log, type LogOptions } from "../log.ts";
import type { NamespaceSelection } from "../namespace/selection.ts";
import { slipwayVersion } from "../version.ts";
import {
  type CommandContext,
  type CommandRun,
  createProgram,
  environmentOption,
  exitWith,
  refuseUnknownEnvironment,
  runProgram,
} from "./program.ts";
import { runInOrder } from "./run-in-order.ts";
import { readSelection, type SelectionFlags, selectionOptions } from "./selection-options.ts";

type Flags = SelectionFlags & {
  readonly port: string;
  readonly operationsPort: string;
  readonly distributionUrl: string;
  readonly storeDirectory?: string;
  readonly namespace: string;
  readonly kubeconfig?: string;
  readonly logLevel: LogOptions["level"];
  readonly linger: string;
  readonly grace: string;
  readonly refuse: string;
};

/** `slipway gateway`: the registry's front door, beside Distribution in one pod. */
export const run: CommandRun = async (context) => {
  const { env } = context;
  const program = createProgram(context, "gateway", "Run the registry's front door in front of CNCF Distribution")
    .addOption(
      environmentOption("--port <port>", "SLIPWAY_PORT", "HTTPS port of the registry").default(String(gatewayPort)),
    )
    .addOption(
      environmentOption("--operations-port <port>", "SLIPWAY_OPERATIONS_PORT", "port of /livez, /readyz, /metrics") //
        .default("8081"),
    )
    .addOption(
      environmentOption("--distribution-url <url>", "SLIPWAY_DISTRIBUTION_URL", "where Distribution listens") //
        .default(`http://127.0.0.1:${distributionPort}`),
    )
    .addOption(
      environmentOption(
        "--store-directory <path>",
        "SLIPWAY_STORE_DIRECTORY",
        "the root directory of Distribution's storage, readable here; what it holds is measured",
      ),
    )
    .addOption(
      environmentOption("--namespace <name>", "SLIPWAY_NAMESPACE", "the namespace of Slipway's own Secrets") //
        .default(systemNamespace),
    )
    .addOption(environmentOption("--kubeconfig <file>", "SLIPWAY_KUBECONFIG", "a kubeconfig; else the pod's account"))
    .addOption(
      environmentOption("--log-level <level>", "SLIPWAY_LOG_LEVEL", "how much to log")
        .choices(["trace", "debug", "info", "warn", "error", "silent"])
        .default("info"),
    )
    .addOption(
      environmentOption("--linger <seconds>", "SLIPWAY_LINGER", "how long to go on answering after the stop") //
        .default("5"),
    )
    .addOption(
      environmentOption("--grace <seconds>", "SLIPWAY_GRACE", "how long transfers may take to end after that") //
        .default("20"),
    )
    .addOption(
      environmentOption(
        "--refuse <seconds>",
        "SLIPWAY_REFUSE",
        "how long at least to refuse new connections after --linger, before the pod and its network go",
      ).default("0"),
    );
  for (const option of selectionOptions()) program.addOption(option);
  program.action(
    exitWith(program, async (flags: Flags) => {
      refuseUnknownEnvironment(program, env);
      return await serveGateway(flags, context);
    }),
  );
  return await runProgram(program, context);
};

async function serveGateway(flags: Flags, context: CommandContext): Promise<number> {
  const log = createLog({ level: flags.logLevel });
  const { kubeconfig } = flags;
  const options: GatewayOptions = {
    cluster: kubeconfig === undefined ? {} : { kubeconfig },
    namespace: flags.namespace,
    selection: readSelection(flags),
    distributionUrl: parseUrl("--distribution-url", flags.distributionUrl),
    storeDirectory: flags.storeDirectory,
    listen: {
      port: parsePort("--port", flags.port),
      lingerMs: parseSeconds("--linger", flags.linger),
      graceMs: parseSeconds("--grace", flags.grace),
      refuseMs: parseSeconds("--refuse", flags.refuse),
    },
    operations: { port: parsePort("--operations-port", flags.operationsPort) },
  };
  log.info({ version: slipwayVersion, options }, "slipway gateway");
  await runGateway(options, log, context.stop);
  return 0;
}

/** Everything that can be set; `slipway dev` builds one by hand. */
export type GatewayOptions = {
  readonly cluster: ClusterSource;
  readonly namespace: string;
  readonly selection: NamespaceSelection;
  readonly distributionUrl: string;
  /** Absent where the storage is no volume. */
  readonly storeDirectory?: string | undefined;
  readonly listen: {
    readonly port: number;
    readonly host?: string;
    readonly lingerMs?: number;
    readonly graceMs?: number;
    readonly refuseMs?: number;
  };
  readonly operations: { readonly port: number; readonly host?: string };
};

/** Runs the gateway until `stop`. It drains first; what it reads from, and its probes, go on until it has. */
export async function runGateway(options: GatewayOptions, log: Log, stop: AbortSignal): Promise<void> {
  const { namespace } = options;
  const metrics = new Registry();
  const shared = { clock: systemClock, random: Math.random, log, metrics };
  const transport = createTransport({ ...options.cluster, ...shared });
  const api = createClusterApi(transport);
  // One Secret by name each: all that the gateway's account may read.
  const secret = (name: string) =>
    createReflector({
      ...shared,
      transport,
      resource: resources.secrets,
      namespace,
      fieldSelector: `metadata.name=${name}`,
    });
  const collection = (resource: Resource, metadataOnly: boolean) =>
    createReflector({ ...shared, transport, resource, metadataOnly });
  const secrets = {
    keys: secret(registryKeysSecretName),
    admin: secret(registryAdminSecretName),
    users: secret(registryUsersSecretName),
    certificate: secret(registryCertificateSecretName),
    providedCertificate: secret(registryProvidedCertificateSecretName),
    tokenSigning: secret(tokenSigningSecretName),
  };
  const namespaces = collection(resources.namespaces, true);
  const localRegistries = collection(resources.localRegistries, false);
  const gateway = createGateway({
    distributionUrl: options.distributionUrl,
    storeDirectory: options.storeDirectory,
    namespace,
    selection: options.selection,
    secrets,
    namespaces,
    localRegistries,
    tokenReviewer: createTokenReviewer(api),
    accessReviewer: createAccessReviewer(api),
    listen: options.listen,
    ...shared,
  });
  const loopLag = createLoopLag(shared);
  const isStopping = () => (stop.aborted ? "stopping" : undefined);
  const operations = createOperationsServer({
    ...options.operations,
    live: {},
    ready: { ...gateway.ready, "event-loop": loopLag.check, stop: isStopping },
    metrics,
    log,
  });
  try {
    await runInOrder(stop, [
      { components: [gateway] },
      { components: [...Object.values(secrets), namespaces, localRegistries, loopLag, operations] },
    ]);
  } finally {
    await transport.close();
  }
}

function parsePort(flag: string, text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port > 0 && port < 65_536) return port;
  throw new SlipwayError("CONFIG_INVALID", `${flag} is '${text}'; give a port from 1 to 65535`);
}

function parseSeconds(flag: string, text: string): number {
  if (/^\d{1,2}$/.test(text)) return Number(text) * 1_000;
  throw new SlipwayError("CONFIG_INVALID", `${flag} is '${text}'; give whole seconds from 0 to 99`);
}

function parseUrl(flag: string, text: string): string {
  if (URL.canParse(text) && new URL(text).protocol === "http:") return text;
  throw new SlipwayError("CONFIG_INVALID", `${flag} is '${text}'; give an http:// address of Distribution`);
}
