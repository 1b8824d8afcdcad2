import { homedir } from "node:os";
import { join } from "node:path";
import { text as textOfStream } from "node:stream/consumers";
import type { Command } from "commander";
import { systemClock } from "../clock.ts";
import type { ClusterApi } from "../cluster/api.ts";
import { createTransport } from "../cluster/client.ts";
import { createClusterApi } from "../cluster/kubernetes-api.ts";
import { readDockerLogins } from "../credential/docker-import.ts";
import type { ParsedEntries } from "../credential/dockerconfig.ts";
import { type ImportedShape, importedObjects, removeImported, writeImported } from "../credential/imported.ts";
import { parseTutorDictionary } from "../credential/tutor.ts";
import { SlipwayError } from "../errors.ts";
import { createLog } from "../log.ts";
import { readText } from "../registry/state-file.ts";
import { checkCredentials, listCredentials } from "./credentials-report.ts";
import { type CommandContext, type CommandRun, createProgram, exitWith, runProgram } from "./program.ts";

export type ClusterFlags = { readonly kubeconfig?: string; readonly context?: string };

/** `slipway credentials`: brings logins into the cluster, shows and tries them. No password is ever an argument or printed. */
export const run: CommandRun = async (context) => {
  const program = createProgram(context, "credentials", "Bring logins of registries into the cluster, and try them");
  const imports = program.command("import").description("make a PullCredential of logins that you have");
  addFlags(imports.command("tutor"))
    .description("from the REGISTRY_CREDENTIALS of Tutor's registry plugin")
    .requiredOption("-f, --file <file>", "config.yml; - for standard input")
    .option("--name <name>", "of the PullCredential and its Secret", "tutor")
    .action(exitWith(program, (flags: ImportFlags & { file: string }) => importTutor(context, flags)));
  addFlags(imports.command("docker"))
    .description("from docker on this machine; its credential helpers are asked")
    .option("--host <host...>", "only these registries")
    .option("--config <file>", "config.json; where docker keeps it unless given")
    .option("--name <name>", "of the PullCredential and its Secret", "docker")
    .action(
      exitWith(program, (flags: ImportFlags & { host?: string[]; config?: string }) => importDocker(context, flags)),
    );
  addFlags(program.command("list"))
    .description("PullCredentials, the registries that they cover, and how far they have come")
    .option("-o, --output <format>", "table, json or yaml", "table")
    .action(
      exitWith(program, (flags: ClusterFlags & { output: string }) =>
        withCluster(context, flags, (api) => listCredentials(context, api, flags.output)),
      ),
    );
  addFlags(program.command("check [names...]"))
    .description("log in to each registry with each login")
    .option("--ca-file <file>", "PEM certificates that the registries' ones are signed by, instead of the system's")
    .option("-o, --output <format>", "table, json or yaml", "table")
    .action(
      exitWith(program, (names: string[], flags: ClusterFlags & { output: string; caFile?: string }) =>
        withCluster(context, flags, (api) => checkCredentials(context, api, { ...flags, names })),
      ),
    );
  addFlags(program.command("remove <name>"))
    .description("remove what an import made; its logins leave every namespace")
    .action(exitWith(program, (name: string, flags: ClusterFlags) => remove(context, name, flags)));
  return runProgram(program, context);
};

type ImportFlags = ClusterFlags & { readonly name: string };

function addFlags(command: Command): Command {
  return command
    .option("--kubeconfig <file>", "kubeconfig; as kubectl finds it unless given")
    .option("--context <name>", "context of the kubeconfig");
}

async function importTutor(context: CommandContext, flags: ImportFlags & { file: string }): Promise<number> {
  const parsed = parseTutorDictionary(await readInput(context, flags.file));
  if (parsed.kind === "unreadable") throw new SlipwayError("CONFIG_INVALID", `${flags.file}: ${parsed.message}`);
  return store(context, flags, { shape: "tutor", parsed });
}

async function importDocker(
  context: CommandContext,
  flags: ImportFlags & { host?: string[]; config?: string },
): Promise<number> {
  const { env } = context;
  const folder = env.DOCKER_CONFIG ?? join(env.HOME ?? homedir(), ".docker");
  const path = flags.config ?? join(folder, "config.json");
  const parsed = await readDockerLogins({ path, env, hosts: flags.host ?? [] });
  return store(context, flags, { shape: "docker", parsed });
}

/** @returns 1 where something of the source could not be used */
async function store(
  context: CommandContext,
  flags: ImportFlags,
  { shape, parsed }: { readonly shape: ImportedShape; readonly parsed: ParsedEntries },
): Promise<number> {
  for (const { message } of parsed.findings) context.stderr.write(`left out: ${message}\n`);
  const registries = Object.keys(parsed.entries).sort();
  if (registries.length === 0) throw new SlipwayError("CONFIG_INVALID", "there is no login that could be used to pull");
  const objects = importedObjects(flags.name, shape, parsed.entries);
  await withCluster(context, flags, async (api) => {
    await writeImported(api, objects, context.stop);
    return 0;
  });
  context.stdout.write(`PullCredential ${flags.name} covers ${registries.join(", ")}\n`);
  context.stdout.write("opted-in namespaces get the logins: kubectl label namespace NAME slipway.dev/inject=enabled\n");
  return parsed.findings.length === 0 ? 0 : 1;
}

async function remove(context: CommandContext, name: string, flags: ClusterFlags): Promise<number> {
  return withCluster(context, flags, async (api) => {
    if (!(await removeImported(api, name, context.stop))) {
      throw new SlipwayError("CONFIG_INVALID", `there is no PullCredential ${name}; see slipway credentials list`);
    }
    context.stdout.write(`PullCredential ${name} removed\n`);
    return 0;
  });
}

async function withCluster(
  context: CommandContext,
  flags: ClusterFlags,
  work: (api: ClusterApi) => Promise<number>,
): Promise<number> {
  const source = { kubeconfig: flags.kubeconfig ?? context.env.KUBECONFIG, context: flags.context };
  const log = createLog({ level: "silent" });
  const transport = createTransport({ ...source, clock: systemClock, random: Math.random, log });
  try {
    return await work(createClusterApi(transport));
  } finally {
    await transport.close();
  }
}

function readInput({ stdin }: CommandContext, file: string): Promise<string> {
  return file === "-" ? textOfStream(stdin) : readText(file);
}
