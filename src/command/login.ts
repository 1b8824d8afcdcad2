import { homedir } from "node:os";
import { join } from "node:path";
import { storeDockerLogin } from "../registry/docker-login.ts";
import { dockerCertsDirectory, isDesktop, storeDockerTrust } from "../registry/docker-trust.ts";
import { forwardedPort } from "../registry/hosting-document.ts";
import type { Reached } from "../registry/reach.ts";
import { type CommandContext, type CommandRun, createProgram, exitWith, runProgram } from "./program.ts";
import { addRegistryFlags, type RegistryFlags, withRegistry } from "./registry-access.ts";

type LoginFlags = RegistryFlags & { readonly certsDir?: string };

/** `slipway login`: prepares docker for those who want to push with docker itself. */
export const run: CommandRun = async (context) => {
  const program = createProgram(context, "login", "Give docker the login and the CA of the local registry");
  addRegistryFlags(program)
    .option(
      "--certs-dir <folder>",
      "where docker looks for CAs, e.g. /etc/docker/certs.d; as docker has it unless given",
    )
    .action(exitWith(program, (flags: LoginFlags) => logIn(context, flags)));
  return runProgram(program, context);
};

async function logIn(context: CommandContext, flags: LoginFlags): Promise<number> {
  return withRegistry(flags, context, async (reached) => {
    const host = reached.address ?? `localhost:${forwardedPort}`;
    const home = context.env.HOME ?? homedir();
    const configDirectory = context.env.DOCKER_CONFIG ?? join(home, ".docker");
    const stored = await storeDockerLogin({ configDirectory, env: context.env }, host, reached.login);
    const where = stored.kind === "file" ? stored.path : stored.program;
    context.stdout.write(`login of ${reached.login.username} for ${host} stored in ${where}\n`);
    const certsDirectory = flags.certsDir ?? dockerCertsDirectory({ ...context.env, HOME: home }, process.platform);
    await trust(context, reached, { host, certsDirectory, configDirectory });
    explainUse(context, reached, host);
    return 0;
  });
}

async function trust(
  context: CommandContext,
  { ca }: Reached,
  places: { readonly host: string; readonly certsDirectory: string; readonly configDirectory: string },
): Promise<void> {
  if (ca === undefined) return;
  const outcome = await storeDockerTrust(places, places.host, ca);
  if (outcome.kind === "written") {
    const advice = isDesktop(process.platform) ? "; restart Docker Desktop, which reads it when it starts" : "";
    context.stdout.write(`CA written to ${outcome.path}${advice}\n`);
    return;
  }
  context.stdout.write(
    `docker looks for the CA at ${outcome.path}, which may not be written here; run:\n  sudo install -D -m 0644 ${outcome.copy} ${outcome.path}\n`,
  );
}

function explainUse({ stdout }: CommandContext, reached: Reached, host: string): void {
  if (reached.address === undefined) {
    stdout.write(
      `the registry is not exposed; keep this running while docker pushes:\n  kubectl --namespace slipway-system port-forward service/registry ${forwardedPort}:443\n`,
    );
  }
  stdout.write(`push as ${host}/<namespace>/<name>:<tag>; pods name it ${reached.names[0]}/<namespace>/<name>:<tag>\n`);
}
