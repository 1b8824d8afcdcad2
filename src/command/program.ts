import type { Readable, Writable } from "node:stream";
import { Command, CommanderError, Option } from "commander";
import { ApiError } from "../cluster/api.ts";
import { SlipwayError } from "../errors.ts";

/** What a command is given by the process; nothing else in the program reads argv, env or the standard streams. */
export type CommandContext = {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable;
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  /** Aborted by SIGTERM or SIGINT. */
  readonly stop: AbortSignal;
};

/** Runs one command to its end. @returns the exit code: 0 done, 1 done with findings, 2 usage or cannot start */
export type CommandRun = (context: CommandContext) => Promise<number>;

/**
 * A commander program whose output goes to the context's streams and which never ends the process.
 * Commander's own faults become exit code 2 in runProgram.
 */
export function createProgram(context: CommandContext, name: string, summary: string): Command {
  const full = `slipway ${name}`;
  return new Command(full)
    .description(summary)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void context.stdout.write(text),
      writeErr: (text) => void context.stderr.write(text),
      // One line that says what to do, subcommands included.
      outputError: (text, write) =>
        write(
          `${full}: ${text
            .trim()
            .replace(/^error: /, "")
            .replaceAll("\n", " ")}; see ${full} --help\n`,
        ),
    });
}

/** A flag that can also be set by `SLIPWAY_<NAME>`; the flag wins. */
export function environmentOption(flags: string, env: `SLIPWAY_${string}`, help: string): Option {
  return new Option(flags, help).env(env);
}

/**
 * Parses the arguments and runs the chosen action. Every expected failure is one line on standard error that says
 * what to do.
 *
 * @returns the exit code that the action gave, 0 for help, 2 for usage errors, SlipwayErrors and an unreachable cluster
 */
export async function runProgram(program: Command, context: CommandContext): Promise<number> {
  try {
    await program.parseAsync([...context.args], { from: "user" });
    return exitCodes.get(program) ?? 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const line = expectedFault(error);
    if (line === undefined) throw error;
    context.stderr.write(`${program.name()}: ${line}\n`);
    return 2;
  }
}

/** One line that says what happened and what to do; undefined for a fault of our own. */
function expectedFault(error: unknown): string | undefined {
  if (error instanceof SlipwayError) {
    const advice = error.code === "KUBECONFIG_INVALID" ? "; give --kubeconfig FILE, or set KUBECONFIG" : "";
    return `${error.message}${advice}`;
  }
  if (!(error instanceof ApiError)) return undefined;
  const advice = error.status === 0 ? "; check the current context of your kubeconfig (kubectl cluster-info)" : "";
  return `${error.message}${advice}`;
}

const exitCodes = new WeakMap<Command, number>();

/** Wraps an action so that its result becomes the exit code of `program`. */
export function exitWith<Arguments extends unknown[]>(
  program: Command,
  action: (...args: Arguments) => Promise<number>,
): (...args: Arguments) => Promise<void> {
  return async (...args) => {
    exitCodes.set(program, await action(...args));
  };
}

/**
 * Refuses environment variables that begin with `SLIPWAY_` and belong to no option of the program: a misspelt
 * setting must not be ignored.
 *
 * @throws SlipwayError CONFIG_INVALID
 */
export function refuseUnknownEnvironment(program: Command, env: CommandContext["env"]): void {
  const known = new Set(program.options.map((option) => option.envVar));
  const unknown = Object.keys(env).filter((name) => name.startsWith("SLIPWAY_") && !known.has(name));
  if (unknown.length > 0) {
    const expected = [...known].filter((name) => name !== undefined).join(", ");
    throw new SlipwayError(
      "CONFIG_INVALID",
      `environment variable ${unknown.join(", ")} is unknown; known: ${expected}`,
    );
  }
}
