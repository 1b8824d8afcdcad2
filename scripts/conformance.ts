/**
 * The conformance suite of the OCI distribution specification, twice: against a bare CNCF Distribution, and through the
 * gateway over TLS with the push login of a namespace. Prints a table in Markdown; exits 1 when a
 * test that passes against the bare registry does not pass through the gateway.
 *
 * @see https://github.com/opencontainers/distribution-spec/tree/main/conformance
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { findRegistryProgram } from "../src/dev/programs.ts";
import { SlipwayError } from "../src/errors.ts";
import { issueCertificates, namespaceObject, startGateway, startStore } from "../test/integration/gateway/harness.ts";
import { pushLogin } from "../test/integration/gateway/registry-client.ts";
import { startBareRegistry } from "../test/integration/registry/distribution.ts";
import { findConformanceProgram } from "./conformance-program.ts";

/** How often each test passed, failed and was skipped: the suite runs a test of one name for several contents. */
type Counts = { passed: number; failure: number; skipped: number };
type Results = { readonly commit: string; readonly tests: ReadonlyMap<string, Counts> };
type Variables = Readonly<Record<string, string>>;

const limitMs = 300_000;

const program = await findSuite();
const folder = await mkdtemp(join(tmpdir(), "slipway-conformance-"));
try {
  const bare = await againstBare(program);
  const ours = await throughGateway(program);
  process.exitCode = report(bare, ours);
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function findSuite(): Promise<string> {
  try {
    return await findConformanceProgram(process.env, console.error);
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error;
    console.error(`conformance: ${error.message}`);
    process.exit(2);
  }
}

async function againstBare(suite: string): Promise<Results> {
  const registry = await startBareRegistry();
  try {
    return await runSuite(suite, "bare", { OCI_REGISTRY: registry.address, OCI_TLS: "disabled" });
  } finally {
    await registry.remove();
  }
}

async function throughGateway(suite: string): Promise<Results> {
  const distribution = await findRegistryProgram({ env: process.env, announce: console.error });
  const certificates = await issueCertificates();
  const store = await startStore(distribution, certificates.tokenCa);
  const gateway = await startGateway({ distributionUrl: store.url, certificates });
  try {
    gateway.namespaces.set("conformance", namespaceObject("conformance", "uid-conformance"));
    const login = pushLogin("conformance", "uid-conformance");
    const caFile = join(folder, "ca.crt");
    await writeFile(caFile, gateway.ca);
    return await runSuite(suite, "gateway", {
      OCI_REGISTRY: new URL(gateway.url).host,
      OCI_TLS: "enabled",
      OCI_USERNAME: login.username,
      OCI_PASSWORD: login.password,
      SSL_CERT_FILE: caFile,
    });
  } finally {
    await gateway.stop();
    await store.stop();
  }
}

/** Nothing of this process's environment reaches the suite but PATH: other OCI_ variables would change the run. */
async function runSuite(suite: string, name: string, variables: Variables): Promise<Results> {
  const results = join(folder, name);
  const configuration = join(folder, "oci-conformance.yaml");
  await writeFile(configuration, "{}\n");
  const env = {
    PATH: process.env.PATH ?? "",
    OCI_VERSION: "1.1",
    OCI_REPO1: "conformance/repo1",
    OCI_REPO2: "conformance/repo2",
    OCI_CONFIGURATION: configuration,
    OCI_RESULTS_DIR: results,
    ...variables,
  };
  const child = spawn(suite, [], { cwd: folder, env, stdio: "ignore", timeout: limitMs });
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (_code, signal) => {
      if (signal === null) resolve();
      else reject(new Error(`the suite did not end within ${limitMs / 1_000} s against ${name}`));
    });
  });
  // Its exit code is 1 for every failing test; what counts is the report.
  return readResults(
    await readFile(join(results, "results.yaml"), "utf8"),
    await readFile(join(results, "junit.xml"), "utf8"),
  );
}

/** @param junit one `<testcase name="…" status="…">` for each test, see junit.go of the suite */
function readResults(report: string, junit: string): Results {
  const { config } = parse(report) as { config?: { commit?: string } };
  const tests = new Map<string, Counts>();
  for (const [testcase] of junit.matchAll(/<testcase [^>]*>/g)) {
    const name = / name="([^"]*)"/.exec(testcase)?.[1] ?? "";
    const status = / status="([^"]*)"/.exec(testcase)?.[1] ?? "";
    const counts = tests.get(name) ?? { passed: 0, failure: 0, skipped: 0 };
    counts[status === "passed" || status === "failure" ? status : "skipped"]++;
    tests.set(name, counts);
  }
  if (tests.size === 0) throw new Error("the suite reported no test");
  return { commit: config?.commit ?? "unknown", tests };
}

/** @returns the exit code */
function report(bare: Results, ours: Results): number {
  const none: Counts = { passed: 0, failure: 0, skipped: 0 };
  const names = [...new Set([...bare.tests.keys(), ...ours.tests.keys()])];
  const groups = Map.groupBy(names, (name) => name.split("/")[1] ?? name);
  const sum = (results: Results, members: readonly string[]): Counts =>
    members
      .map((name) => results.tests.get(name) ?? none)
      .reduce(
        (left, right) => ({
          passed: left.passed + right.passed,
          failure: left.failure + right.failure,
          skipped: left.skipped + right.skipped,
        }),
        none,
      );
  const row = (title: string, members: readonly string[]) => {
    const cells = [sum(bare, members), sum(ours, members)].map((counts) => Object.values(counts).join(" / "));
    console.log(`| ${title} | ${cells.join(" | ")} |`);
  };
  console.log(`suite at commit ${ours.commit}\n`);
  console.log("| passed / failed / skipped | bare | through the gateway |\n|---|---|---|");
  for (const [title, members] of groups) row(title, members);
  row("all", names);
  const worse = names.filter((name) => sum(ours, [name]).passed < sum(bare, [name]).passed);
  for (const name of worse) console.error(`passes more often against the bare registry: ${name}`);
  return worse.length === 0 ? 0 : 1;
}
