/**
 * Runs one suite of tests: `node scripts/run-tests.ts unit|integration|kind [FILE-OR-GLOB …]`.
 * A suite that executes fewer tests than it is known to have is a failure: a glob that matches nothing is not a pass.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import { findControlPlanePrograms, findRegistryProgram } from "../src/dev/programs.ts";

type Suite = {
  readonly globs: readonly string[];
  /** Files that need nothing of what the others use: they run side by side with them, one after another. */
  readonly beside?: readonly string[];
  /** Raise it as the suite grows; it only has to catch a suite that silently lost most of its files. */
  readonly atLeast: number;
  /** For one file: ten times what the longest takes, for a machine that is slower or busy. */
  readonly timeoutMs: number;
  readonly filesAtOnce: number;
};

const suites: Readonly<Record<string, Suite>> = {
  unit: {
    globs: ["src/**/*.test.ts", "scripts/**/*.test.ts", "test/!(integration|kind|bench)/**/*.test.ts"],
    atLeast: 2_200,
    timeoutMs: 300_000,
    filesAtOnce: availableParallelism(),
  },
  integration: {
    globs: ["test/integration/**/*.test.ts"],
    atLeast: 700,
    timeoutMs: 1_200_000,
    filesAtOnce: availableParallelism(),
  },
  kind: {
    globs: ["test/kind/*.test.ts", "test/kind/registry/*.test.ts"],
    beside: ["test/kind/own-cluster/*.test.ts"],
    atLeast: 50,
    timeoutMs: 1_800_000,
    filesAtOnce: 1,
  },
};

/** What a suite needs before it starts; each gives back what undoes it. */
const provisions: Readonly<Record<string, () => Promise<() => Promise<void>>>> = {
  integration: provideControlPlanePrograms,
  kind: provideCluster,
};

const say = (line: string) => process.stderr.write(`${line}\n`);

process.exitCode = await main(process.argv.slice(2));

async function main([name = "", ...chosen]: readonly string[]): Promise<number> {
  const suite = suites[name];
  if (suite === undefined) {
    say(`run-tests: '${name}' is no suite; there are ${Object.keys(suites).join(", ")}`);
    return 2;
  }
  if (name === "kind") {
    const missing = missingForKind();
    if (missing !== undefined) return skipKind(missing);
  }
  const cleanUp = await provisions[name]?.();
  try {
    return await runSuite(name, chosen.length === 0 ? suite : { ...suite, globs: chosen, beside: [], atLeast: 1 });
  } finally {
    await cleanUp?.();
  }
}

async function runSuite(name: string, suite: Suite): Promise<number> {
  const { globs, beside = [], atLeast } = suite;
  const groups = [globs, beside].filter((group) => group.length > 0);
  const outcomes = await Promise.all(groups.map((group) => runGroup(group, suite)));
  const executed = outcomes.reduce((sum, outcome) => sum + outcome.executed, 0);
  if (executed < atLeast) {
    say(`run-tests: only ${executed} ${name} tests were executed, expected at least ${atLeast}`);
    return 1;
  }
  if (groups.length > 1) say(`run-tests: ${executed} ${name} tests were executed in all`);
  return outcomes.every(({ succeeded }) => succeeded) ? 0 : 1;
}

async function runGroup(
  globs: readonly string[],
  { timeoutMs, filesAtOnce }: Suite,
): Promise<{ readonly executed: number; readonly succeeded: boolean }> {
  const events = run({ globPatterns: [...globs], timeout: timeoutMs, concurrency: filesAtOnce });
  let outcome = { executed: 0, succeeded: false };
  events.on("test:summary", ({ file, counts, success }) => {
    if (file !== undefined) return;
    outcome = { executed: counts.tests - counts.skipped - counts.todo, succeeded: success };
  });
  for await (const text of events.compose(new spec())) process.stdout.write(String(text));
  return outcome;
}

/** Finds the programs once, for all files: they see them in KUBEBUILDER_ASSETS and on PATH. */
async function provideControlPlanePrograms(): Promise<() => Promise<void>> {
  const needs = { env: process.env, announce: say };
  const programs = { ...(await findControlPlanePrograms(needs)), registry: await findRegistryProgram(needs) };
  const folder = mkdtempSync(join(tmpdir(), "slipway-programs-"));
  for (const [program, path] of Object.entries(programs)) symlinkSync(path, join(folder, program));
  process.env.KUBEBUILDER_ASSETS = folder;
  process.env.PATH = [folder, process.env.PATH].join(delimiter);
  return async () => rmSync(folder, { recursive: true, force: true });
}

/**
 * One cluster for all files, made by scripts/kind-up with this checkout installed, and deleted at the end. A cluster
 * that KIND_TEST_CLUSTER names is used as it is and kept: for work on the tests.
 */
async function provideCluster(): Promise<() => Promise<void>> {
  const given = process.env.KIND_TEST_CLUSTER;
  const name = given ?? "slipway-test";
  if (given === undefined) await makeCluster(name);
  process.env.KIND_TEST_CLUSTER = name;
  process.env.KIND_TEST_KUBECONFIG ??= fileURLToPath(new URL(`../.cache/kind/${name}.kubeconfig`, import.meta.url));
  if (given !== undefined) return async () => {};
  return () => runScript("kind-down", ["--name", name]);
}

/** What a run that was cut off has left is not used: nobody knows in what state it is. */
async function makeCluster(name: string): Promise<void> {
  await runScript("kind-down", ["--name", name]);
  try {
    await runScript("kind-up", ["--name", name, "--nodes", "3"]);
  } catch (error) {
    await runScript("kind-down", ["--name", name]);
    throw error;
  }
}

async function runScript(script: string, args: readonly string[]): Promise<void> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(path, [...args], { stdio: ["ignore", "ignore", "inherit"] });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${script} ${args.join(" ")} ended with ${code}`);
}

/** @returns what is missing, or undefined where the suite can run */
function missingForKind(): string | undefined {
  if (!succeeds("docker", ["info"])) return "docker is not installed or its daemon does not answer (docker info)";
  if (!succeeds("kind", ["version"])) return "kind is not installed (https://kind.sigs.k8s.io)";
  if (!succeeds("kubectl", ["version", "--client"])) return "kubectl is not installed";
  return undefined;
}

function succeeds(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore", timeout: 30_000 }).status === 0;
}

function skipKind(missing: string): number {
  if (process.env.CI === "true") {
    say(`run-tests: the kind tests cannot run, and CI=true does not let them be skipped: ${missing}`);
    return 1;
  }
  say(`run-tests: kind tests skipped: ${missing}`);
  return 0;
}
