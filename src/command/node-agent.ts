import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { InvalidArgumentError, type Option } from "commander";
import { systemClock } from "../clock.ts";
import { runUntil } from "../cluster/run-until.ts";
import { agentProbePort, servePort, serveServiceName, systemNamespace } from "../config/names.ts";
import { createLog, type Log, type LogOptions } from "../log.ts";
import { createNodeAgent } from "../node/agent.ts";
import { createAgentProbes } from "../node/agent-probes.ts";
import { type Disk, nodeDisk } from "../node/disk.ts";
import { createDropIn } from "../node/drop-in.ts";
import { createExternalStrategy } from "../node/external.ts";
import { asLookupFunction, createHostLookup } from "../node/host-lookup.ts";
import { createHostsTomlStrategy } from "../node/hosts-toml-strategy.ts";
import { createHourlyLook } from "../node/hourly-look.ts";
import { type LayoutName, layoutNames, layouts } from "../node/layout.ts";
import { createLoopbackProxy } from "../node/loopback-proxy.ts";
import { createLoopbackStrategy } from "../node/loopback-strategy.ts";
import { createNodeRound } from "../node/node-round.ts";
import { createNoneStrategy } from "../node/none.ts";
import { lookAtProbe } from "../node/registry-look.ts";
import { createServeClient } from "../node/serve-client.ts";
import type { Strategy } from "../node/strategy.ts";
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

type NodeAgentOptions = {
  readonly serveUrl: string;
  readonly caFile: string;
  readonly tokenFile: string;
  readonly layout: LayoutName;
  readonly certsDir: string;
  readonly certsPath?: string;
  readonly containerdConfig?: string;
  readonly containerdConfigPath?: string;
  readonly registriesDir: string;
  readonly registriesPath: string;
  readonly hostResolvConf: string;
  readonly hostTrust: string;
  readonly probePort: number;
  readonly logLevel: LogOptions["level"];
};

const defaultUrl = `https://${serveServiceName}.${systemNamespace}.svc:${servePort}`;

/** `slipway node-agent`: the per-node DaemonSet, in the host's network. */
export const run: CommandRun = async (context) => {
  const program = createProgram(
    context,
    "node-agent",
    [
      "Keep this node able to reach the local registry: takes orders from serve by long poll, writes containerd's certs.d",
      "or listens on the loopback of the host, checks every minute and reports what it finds. Runs in the host's network",
      "and has no Kubernetes rights. On SIGTERM files stay; they go when serve orders it.",
    ].join(" "),
  );
  for (const option of options()) program.addOption(option);
  program.action(
    exitWith(program, () => {
      refuseUnknownEnvironment(program, context.env);
      return runAgent(program.opts<NodeAgentOptions>(), context);
    }),
  );
  return runProgram(program, context);
};

function options(): readonly Option[] {
  return [
    environmentOption("--serve-url <url>", "SLIPWAY_SERVE_URL", "where serve listens").default(defaultUrl),
    environmentOption(
      "--ca-file <path>",
      "SLIPWAY_CA_FILE",
      "PEM by which serve is trusted; read at each poll",
    ).default("/etc/slipway/ca/ca.crt"),
    environmentOption(
      "--token-file <path>",
      "SLIPWAY_TOKEN_FILE",
      "projected token of audience slipway-agent; read at each poll",
    ).default("/var/run/secrets/slipway/token"),
    environmentOption("--layout <name>", "SLIPWAY_LAYOUT", "where the runtime keeps its files")
      .choices(layoutNames)
      .default("standard"),
    environmentOption("--certs-dir <path>", "SLIPWAY_CERTS_DIR", "certs.d as mounted here, writable").default(
      "/host/certs.d",
    ),
    environmentOption(
      "--certs-path <path>",
      "SLIPWAY_CERTS_PATH",
      "certs.d as the runtime sees it (default: by the layout)",
    ),
    environmentOption(
      "--containerd-config <path>",
      "SLIPWAY_CONTAINERD_CONFIG",
      "containerd's configuration as mounted here, read only (default: /host/containerd/ and the layout's file name)",
    ),
    environmentOption(
      "--containerd-config-path <path>",
      "SLIPWAY_CONTAINERD_CONFIG_PATH",
      "the same on the host (default: by the layout)",
    ),
    environmentOption(
      "--registries-dir <path>",
      "SLIPWAY_REGISTRIES_DIR",
      "layout crio: registries.conf.d as mounted here, writable",
    ).default("/host/registries.conf.d"),
    environmentOption(
      "--registries-path <path>",
      "SLIPWAY_REGISTRIES_PATH",
      "layout crio: the same on the host",
    ).default("/etc/containers/registries.conf.d"),
    environmentOption(
      "--host-resolv-conf <path>",
      "SLIPWAY_HOST_RESOLV_CONF",
      "the host's resolv.conf as mounted here; without it names of the cluster's DNS count as unknown to the host",
    ).default("/host/resolv.conf"),
    environmentOption(
      "--host-trust <path>",
      "SLIPWAY_HOST_TRUST",
      "the host's bundle of CAs (PEM) as mounted here; without it the one built into Node is used",
    ).default("/host/ca-certificates.crt"),
    environmentOption("--probe-port <port>", "SLIPWAY_PROBE_PORT", "/livez and /readyz on 127.0.0.1; 0: any")
      .argParser(parsePort)
      .default(agentProbePort),
    environmentOption("--log-level <level>", "SLIPWAY_LOG_LEVEL", "how much is logged")
      .choices(["trace", "debug", "info", "warn", "error", "silent"])
      .default("info"),
  ];
}

async function runAgent(options: NodeAgentOptions, context: CommandContext): Promise<number> {
  const log = createLog({ level: options.logLevel }, context.stdout);
  const clock = systemClock;
  const strategies = createStrategies(options, nodeDisk, log);
  const agent = createNodeAgent({
    round: createNodeRound({ strategies, look: createHourlyLook({ look: lookAtProbe, clock, log }), log }),
    serve: createServeClient({
      url: new URL("/node", options.serveUrl).href,
      readCa: () => readFile(options.caFile, "utf8"),
      readToken: () => readFile(options.tokenFile, "utf8"),
    }),
    clock,
    random: Math.random,
    log,
  });
  const probes = createAgentProbes({ port: options.probePort, live: agent.live, ready: agent.ready, clock, log });
  log.info({ version: slipwayVersion, ...options }, "node agent starts");
  await runUntil(context.stop, [agent, probes]);
  await Promise.all(strategies.map((strategy) => strategy.close?.()));
  log.info("node agent ended; what it wrote stays");
  return 0;
}

function createStrategies(options: NodeAgentOptions, disk: Disk, log: Log): readonly Strategy[] {
  const layout = layouts[options.layout];
  const configPath = options.containerdConfigPath ?? layout.configPath;
  const lookup = createHostLookup({
    disk,
    hostsFile: "/etc/hosts",
    resolvConf: options.hostResolvConf,
    ownResolvConf: "/etc/resolv.conf",
  });
  const registries = { mounted: options.registriesDir, path: options.registriesPath };
  return [
    createExternalStrategy({ lookup: asLookupFunction(lookup), hostTrust: () => disk.read(options.hostTrust) }),
    createHostsTomlStrategy({
      disk,
      certs: { mounted: options.certsDir, path: options.certsPath ?? layout.certsPath },
      config: { mounted: options.containerdConfig ?? `/host/containerd/${basename(configPath)}`, path: configPath },
    }),
    createLoopbackStrategy({
      proxy: createLoopbackProxy({ log }),
      dropIn: options.layout === "crio" ? createDropIn({ disk, folder: registries }) : undefined,
    }),
    createNoneStrategy(),
  ];
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw new InvalidArgumentError("not a port.");
  return port;
}
