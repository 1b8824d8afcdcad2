import { SlipwayError } from "../errors.ts";
import { type HostFileOutcome, writeHostFile } from "../node/host-file-writer.ts";
import { type HostFile, type HostRuntime, hostFiles, hostRuntimes } from "../node/host-files.ts";
import { refuseName } from "../node/validate-orders.ts";
import { readText } from "../registry/state-file.ts";
import { readBundle } from "../tls/certificate.ts";
import { type CommandContext, type CommandRun, createProgram, exitWith, runProgram } from "./program.ts";

type Flags = {
  readonly host: readonly string[];
  readonly ca?: string;
  readonly server?: string;
  readonly runtime?: readonly string[];
  readonly write?: boolean;
  readonly root: string;
};

/** `slipway node-files`: what the node agent would write, for hosts that are no Kubernetes nodes. */
export const run: CommandRun = async (context) => {
  const program = createProgram(
    context,
    "node-files",
    "Print or write the files by which containerd, Docker or CRI-O on a host outside the cluster trusts the registry",
  );
  program
    .requiredOption("--host <names...>", "host[:port] of the registry as in references; several may be given")
    .option("--ca <file>", "PEM certificates that the registry's one is signed by; the system's trust unless given")
    .option("--server <url>", "where to connect, https://…, if not to the host itself (containerd and CRI-O)")
    .option("--runtime <name...>", `${hostRuntimes.join(", ")}; all of them unless given`)
    .option("--write", "write the files instead of printing them")
    .option("--root <folder>", "where the host's file system is mounted, with --write", "/")
    .action(exitWith(program, (flags: Flags) => makeFiles(context, flags)));
  return runProgram(program, context);
};

async function makeFiles(context: CommandContext, flags: Flags): Promise<number> {
  const runtimes = (flags.runtime ?? hostRuntimes).map(checkRuntime);
  const options = {
    hosts: [...new Set(flags.host.map(checkHost))],
    server: flags.server === undefined ? undefined : checkServer(flags.server),
    ca: flags.ca === undefined ? undefined : checkCa(await readText(flags.ca), flags.ca),
  };
  if (options.server !== undefined && runtimes.includes("docker")) {
    context.stderr.write(
      "docker connects to the name itself: it takes no --server, so the name has to resolve there\n",
    );
  }
  const files = runtimes.flatMap((runtime) => hostFiles(runtime, options));
  if (flags.write === true) return writeFiles(context, flags.root, files);
  for (const { path, text } of files) context.stdout.write(`# --- ${path}\n${text.trimEnd()}\n\n`);
  return 0;
}

async function writeFiles({ stdout, stderr }: CommandContext, root: string, files: readonly HostFile[]) {
  let isWhole = true;
  for (const file of files) {
    const outcome = await writeHostFile(root, file);
    const why = whyNot(outcome);
    if (why === undefined) {
      stdout.write(`${outcome.path} ${outcome.kind}\n`);
      continue;
    }
    isWhole = false;
    stderr.write(`slipway node-files: ${outcome.path} ${why}\n`);
  }
  return isWhole ? 0 : 1;
}

function whyNot(outcome: HostFileOutcome): string | undefined {
  if (outcome.kind === "foreign") return "is not of slipway node-files and stays as it is; remove it first";
  return outcome.kind === "refused" ? `cannot be written (${outcome.code}); run it as root` : undefined;
}

function checkRuntime(name: string): HostRuntime {
  const known = hostRuntimes.find((runtime) => runtime === name);
  if (known !== undefined) return known;
  throw new SlipwayError("CONFIG_INVALID", `--runtime ${name}: use ${hostRuntimes.join(", ")}`);
}

function checkHost(host: string): string {
  const why = refuseName(host);
  if (why === undefined) return host;
  throw new SlipwayError("CONFIG_INVALID", `--host ${host}: ${why}`);
}

function checkServer(server: string): string {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  const isOrigin = url?.protocol === "https:" && url.pathname === "/" && url.search + url.hash + url.username === "";
  if (url !== undefined && isOrigin) return url.origin;
  throw new SlipwayError("CONFIG_INVALID", `--server ${server}: use https://host[:port] without a path`);
}

/** Only certificates get into the files, whatever else the given one holds. */
function checkCa(text: string, file: string): string {
  const pem = readBundle(text).map((certificate) => certificate.pem);
  if (pem.length > 0) return pem.join("");
  throw new SlipwayError("CONFIG_INVALID", `--ca ${file}: there is no certificate in it (PEM)`);
}
