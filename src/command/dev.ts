import { Option } from "commander";
import { pino } from "pino";
import { createLog, type LogOptions } from "../log.ts";
import { type DevEnvironment, startDevEnvironment } from "./dev-environment.ts";
import { type CommandContext, type CommandRun, createProgram, exitWith, runProgram } from "./program.ts";

const standsInFor = `
What it stands in for: there is no kube-controller-manager, so this command creates the ServiceAccount 'default' of
each namespace and finalizes namespaces that are deleted; there is no kubelet, so no pod runs and no node is reached.
LocalRegistry is 'external' with nodeAccess 'External'. Everything else is the real thing: kube-apiserver, etcd, CNCF
Distribution, and slipway serve and slipway gateway with the rights that their accounts have in a cluster.
`;

export const run: CommandRun = async (context) => {
  const program = createProgram(context, "dev", "Everything in one process, against an embedded control plane")
    .option("--state <folder>", "write dev.json here once all is ready, and keep what it names here")
    .addOption(
      new Option("--log-level <level>", "of serve and the gateway, on standard error")
        .choices(["trace", "debug", "info", "warn", "error", "silent"])
        .default("warn"),
    )
    .addHelpText("after", standsInFor);
  program.action(exitWith(program, (flags: Flags) => serveDev(flags, context)));
  return runProgram(program, context);
};

type Flags = { readonly state?: string; readonly logLevel: LogOptions["level"] };

async function serveDev(flags: Flags, context: CommandContext): Promise<number> {
  const { stdout, stderr, stop, env } = context;
  const startedAtMs = performance.now();
  const environment = await startDevEnvironment({
    state: flags.state,
    env,
    announce: (line) => void stderr.write(`slipway dev: ${line}\n`),
    log: createLog({ level: flags.logLevel }, pino.destination(2)),
  });
  const seconds = ((performance.now() - startedAtMs) / 1_000).toFixed(1);
  stderr.write(`slipway dev: ready after ${seconds} s; end it with Ctrl-C\n`);
  stdout.write(`${describe(environment)}\n`);
  const fault = await Promise.race([environment.failed, aborted(stop)]);
  stderr.write("slipway dev: stopping\n");
  await environment.stop();
  if (fault !== undefined) throw fault;
  return 0;
}

/** Lines that a shell can evaluate. */
function describe({ file }: DevEnvironment): string {
  return [
    `export KUBECONFIG=${file.kubeconfig}`,
    `# registry ${file.registry.url}, user ${file.registry.username}, password in ${file.registry.passwordFile}, CA in ${file.registry.caFile}`,
    `# webhook ${file.webhook.url}, operations ${file.operations.url}`,
  ].join("\n");
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}
