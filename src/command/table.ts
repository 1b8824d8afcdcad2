import type { CommandContext, CommandRun } from "./program.ts";

export type CommandEntry = { readonly summary: string; readonly load: () => Promise<{ readonly run: CommandRun }> };
export type CommandTable = Readonly<Record<string, CommandEntry>>;

/** Every subcommand; loaded on use, so that the node agent does not carry the controller's code in memory. */
export const commandTable: CommandTable = {
  serve: {
    summary: "Admission webhook on every replica, controllers on the elected leader",
    load: () => import("./serve.ts"),
  },
  gateway: { summary: "The registry's front door, in front of CNCF Distribution", load: () => import("./gateway.ts") },
  "node-agent": {
    summary: "Lets a node's container runtime reach and trust the registry",
    load: () => import("./node-agent.ts"),
  },
  dev: { summary: "Everything in one process, against an embedded control plane", load: () => import("./dev.ts") },
  explain: { summary: "Tell what becomes of a pod's images, and why", load: () => import("./explain.ts") },
  images: { summary: "Push images into the local registry, and list them", load: () => import("./images.ts") },
  login: { summary: "Let docker on this machine reach the local registry", load: () => import("./login.ts") },
  credentials: {
    summary: "Bring logins of registries into the cluster, and try them",
    load: () => import("./credentials.ts"),
  },
  nodes: { summary: "Which nodes reach the registry, and what the others lack", load: () => import("./nodes.ts") },
  contract: {
    summary: "Prove for any registry that pods push and nodes pull by the same name",
    load: () => import("./contract.ts"),
  },
  "node-files": {
    summary: "Files for hosts that are no Kubernetes nodes: containerd, Docker, CRI-O",
    load: () => import("./node-files.ts"),
  },
  rotate: { summary: "Give every namespace a new login of the local registry", load: () => import("./rotate.ts") },
  version: { summary: "Print the version", load: () => import("./version.ts") },
};

/** Finds the subcommand, connects the signals and runs it. @returns the exit code */
export async function runCommand(table: CommandTable, argv: readonly string[], host: NodeJS.Process): Promise<number> {
  const [name = "help", ...args] = argv;
  if (["help", "--help", "-h"].includes(name)) {
    host.stdout.write(usage(table));
    return 0;
  }
  const entry = table[name === "--version" ? "version" : name];
  if (entry === undefined) {
    host.stderr.write(`slipway: unknown command '${name}'; see slipway --help\n`);
    return 2;
  }
  const stop = new AbortController();
  const onSignal = (signal: string) => stop.abort(new Error(signal));
  host.once("SIGTERM", onSignal).once("SIGINT", onSignal);
  const context: CommandContext = {
    args,
    env: host.env,
    stdin: host.stdin,
    stdout: host.stdout,
    stderr: host.stderr,
    stop: stop.signal,
  };
  return (await entry.load()).run(context);
}

function usage(table: CommandTable): string {
  const width = Math.max(...Object.keys(table).map((name) => name.length));
  const rows = Object.entries(table).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    "Usage: slipway COMMAND [options]",
    "",
    "Private registries that disappear as a problem in Kubernetes.",
    "",
    "Commands:",
    ...rows,
    "",
    "slipway COMMAND --help tells more about each.",
    "",
  ].join("\n");
}
