import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { InvalidArgumentError } from "commander";
import { distributionImage, operationsPort, servePort, systemNamespace } from "../config/names.ts";
import { createLog, type LogOptions } from "../log.ts";
import { slipwayVersion } from "../version.ts";
import {
  type CommandRun,
  createProgram,
  environmentOption,
  exitWith,
  refuseUnknownEnvironment,
  runProgram,
} from "./program.ts";
import { readSelection, type SelectionFlags, selectionOptions } from "./selection-options.ts";
import { runServe, type ServeOptions } from "./serve-process.ts";

export const run: CommandRun = async (context) => {
  const program = createProgram(
    context,
    "serve",
    "Admission webhook on every replica, controllers on the elected leader",
  );
  program
    .addOption(
      environmentOption("--port <port>", "SLIPWAY_PORT", "webhook and node agents (TLS)")
        .default(servePort)
        .argParser(port),
    )
    .addOption(
      environmentOption(
        "--operations-port <port>",
        "SLIPWAY_OPERATIONS_PORT",
        "/livez, /readyz and /metrics (plain HTTP)",
      )
        .default(operationsPort)
        .argParser(port),
    )
    .addOption(
      environmentOption("--namespace <name>", "SLIPWAY_NAMESPACE", "where Slipway's own objects are").default(
        systemNamespace,
      ),
    )
    .addOption(
      environmentOption("--pod-name <name>", "SLIPWAY_POD_NAME", "name of this Pod: identity of the lease").default(
        hostname(),
      ),
    )
    .addOption(environmentOption("--kubeconfig <file>", "SLIPWAY_KUBECONFIG", "instead of the Pod's ServiceAccount"));
  for (const option of selectionOptions()) program.addOption(option);
  program
    .addOption(
      environmentOption(
        "--push-secrets",
        "SLIPWAY_PUSH_SECRETS",
        "keep a push Secret where the namespace asks for one",
      ).default(false),
    )
    .addOption(
      environmentOption(
        "--node-taint",
        "SLIPWAY_NODE_TAINT",
        "take the taint slipway.dev/not-ready off nodes that pass; needs manifests/components/node-taint",
      ).default(false),
    )
    .addOption(
      environmentOption(
        "--no-defaults",
        "SLIPWAY_NO_DEFAULTS",
        "do not create LocalRegistry and ImageRewrite 'default' at the first start",
      ),
    )
    .addOption(
      environmentOption(
        "--image <reference>",
        "SLIPWAY_IMAGE",
        "Slipway's image for the gateway; the one of this Pod unless given",
      ),
    )
    .addOption(
      environmentOption("--registry-image <reference>", "SLIPWAY_REGISTRY_IMAGE", "image of CNCF Distribution").default(
        distributionImage,
      ),
    )
    .addOption(
      environmentOption(
        "--gateway-token-file <file>",
        "SLIPWAY_GATEWAY_TOKEN_FILE",
        "projected token of audience slipway-gateway",
      ).default("/var/run/slipway/gateway-token/token"),
    )
    .addOption(
      environmentOption(
        "--credential-files <folder>",
        "SLIPWAY_CREDENTIAL_FILES",
        "where PullCredential sources of kind file lie",
      ).default("/var/run/slipway/credentials"),
    )
    .addOption(
      environmentOption("--log-level <level>", "SLIPWAY_LOG_LEVEL", "least level that is logged")
        .choices(["trace", "debug", "info", "warn", "error", "silent"])
        .default("info"),
    )
    .action(
      exitWith(program, async () => {
        refuseUnknownEnvironment(program, context.env);
        const flags = program.opts<ServeFlags>();
        const log = createLog({ level: flags.logLevel });
        log.info({ version: slipwayVersion, options: flags }, "slipway serve");
        await runServe(optionsOf(flags), log, context.stop);
        log.info("stopped");
        return 0;
      }),
    );
  return runProgram(program, context);
};

type ServeFlags = SelectionFlags & {
  readonly port: number;
  readonly operationsPort: number;
  readonly namespace: string;
  readonly podName: string;
  readonly kubeconfig?: string;
  readonly pushSecrets: boolean;
  readonly nodeTaint: boolean;
  readonly defaults: boolean;
  readonly image?: string;
  readonly registryImage: string;
  readonly gatewayTokenFile: string;
  readonly credentialFiles: string;
  readonly logLevel: LogOptions["level"];
};

function optionsOf(flags: ServeFlags): ServeOptions {
  const { kubeconfig } = flags;
  return {
    cluster: kubeconfig === undefined ? { inCluster: true } : { kubeconfig },
    namespace: flags.namespace,
    listen: { port: flags.port },
    operations: { port: flags.operationsPort },
    selection: readSelection(flags),
    pushSecrets: flags.pushSecrets,
    nodeTaint: flags.nodeTaint,
    identity: flags.podName,
    image: flags.image,
    registryImage: flags.registryImage,
    gatewayToken: async () => (await readFile(flags.gatewayTokenFile, "utf8")).trim(),
    defaults: flags.defaults,
    credentialFiles: flags.credentialFiles,
    serveNames: [],
  };
}

function port(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= 65_535) return value;
  throw new InvalidArgumentError("not a port: expected a number from 0 to 65535");
}
