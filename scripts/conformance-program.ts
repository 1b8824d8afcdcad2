import { access, constants, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { runToEnd } from "../src/dev/run-to-end.ts";
import { SlipwayError } from "../src/errors.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The commit of the suite that docs/registry.md has the table of. */
export const suiteCommit = "967efdc079b91785ad18c77cc4f8991a47feefbf";
const suiteSource = "https://github.com/opencontainers/distribution-spec";

/**
 * The conformance suite's program: the one that OCI_CONFORMANCE names; else the one in the cache
 * (`$XDG_CACHE_HOME/slipway` or `~/.cache/slipway`); else it is built there with git and Go from its public source.
 *
 * @throws SlipwayError PROGRAM_MISSING where OCI_CONFORMANCE names nothing that runs, or there is no git or no Go;
 *   PROGRAM_FAILED, with what the program said, when the source cannot be fetched or built
 * @see https://github.com/opencontainers/distribution-spec/tree/main/conformance
 */
export async function findConformanceProgram(env: Environment, announce: (line: string) => void): Promise<string> {
  const given = env.OCI_CONFORMANCE;
  if (given !== undefined && given !== "") {
    if (await isProgram(given)) return given;
    throw new SlipwayError(
      "PROGRAM_MISSING",
      `OCI_CONFORMANCE is '${given}', which is no program; build it, or unset it`,
    );
  }
  const cacheRoot = env.XDG_CACHE_HOME || join(env.HOME ?? homedir(), ".cache");
  const program = join(cacheRoot, "slipway", `conformance-${suiteCommit.slice(0, 12)}`);
  if (!(await isProgram(program))) await build(program, env, announce);
  return program;
}

/** The program appears whole or not at all. */
async function build(program: string, env: Environment, announce: (line: string) => void): Promise<void> {
  await require("git", ["--version"], "https://git-scm.com/downloads", env);
  await require("go", ["version"], "https://go.dev/dl", env);
  await mkdir(dirname(program), { recursive: true });
  const scratch = await mkdtemp(`${program}.part-`);
  const source = join(scratch, "source");
  const built = join(scratch, "conformance");
  try {
    announce(`conformance: fetching ${suiteSource} at ${suiteCommit.slice(0, 12)}`);
    await runToEnd({ command: "git", args: ["clone", "--quiet", "--no-checkout", suiteSource, source], env });
    const checkout = ["-C", source, "checkout", "--quiet", "--detach", suiteCommit];
    await runToEnd({ command: "git", args: checkout, env });
    announce("conformance: building with go (usually less than a minute)");
    // The suite reads its own commit from what Go stamps into it.
    const args = ["build", "-trimpath", "-buildvcs=true", "-o", built, "."];
    const directory = join(source, "conformance");
    await runToEnd({ command: "go", args, directory, env: { ...env, CGO_ENABLED: "0" } });
    await rename(built, program);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function require(command: string, args: readonly string[], where: string, env: Environment): Promise<void> {
  try {
    await runToEnd({ command, args, env });
  } catch (cause) {
    const advice = `install it (${where}), or name a built program in OCI_CONFORMANCE`;
    throw new SlipwayError("PROGRAM_MISSING", `${command} is needed to build the conformance suite: ${advice}`, {
      cause,
    });
  }
}

async function isProgram(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
