import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { systemClock } from "../../../src/clock.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { createTokenRequester } from "../../../src/cluster/token-request.ts";
import { freePort } from "../../../src/dev/distribution.ts";
import {
  type AdmissionEnvironment,
  optedIn,
  startAdmissionEnvironment,
} from "../../integration/admission/environment.ts";
import { type MeasuredProcess, startMeasured } from "../measured-process.ts";
import { format, percentile, table, withSpread } from "../statistics.ts";
import { measureFirstPods, namespacesAtOnce } from "./first-pods.ts";
import { watchSecrets } from "./secret-watch.ts";

const run = promisify(execFile);
const root = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const podLoad = fileURLToPath(new URL("pod-load.ts", import.meta.url));

const repetitions = 3;
const podsPerSecond = 200;
const seconds = 8;
const namespaces = 60;
const idleMs = 15_000;

type Latency = { readonly p50Ms: number; readonly p99Ms: number };

/** The figures of the main job that need no kubelet; the section of docs/benchmarks.md, in Markdown. */
export async function runBench(announce: (line: string) => void): Promise<string> {
  announce("building the bundle");
  await run(process.execPath, [root("scripts/build.ts")]);
  const loadBefore = loadavg()[0] ?? Number.NaN;
  announce("starting the control plane");
  const world = await startAdmissionEnvironment();
  try {
    await world.push("docker.io/library/tool", "1");
    const pods = await measurePods(world, announce);
    const secrets = await measureSecrets(world, announce);
    announce("first pods of new namespaces");
    const firstPods = await measureFirstPods(world);
    const processes = await measureProcesses(world, announce);
    return report({ loadBefore, pods, secrets, firstPods, ...processes });
  } finally {
    await world.stop();
  }
}

/** Pod creations in an opted-in namespace and in another, in turn. */
async function measurePods(world: AdmissionEnvironment, announce: (line: string) => void) {
  const with_: Latency[] = [];
  const without: Latency[] = [];
  const webhook = () => webhookTime(world);
  const before = await webhook();
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    for (const { labels, into, word } of [
      { labels: {}, into: without, word: "without" },
      { labels: optedIn, into: with_, word: "with" },
    ]) {
      announce(`pods ${word} Slipway, repetition ${repetition}`);
      const name = `pods-${word}-${repetition}`;
      await world.namespace(name, labels);
      const args = [podLoad, world.file.kubeconfig, name, String(podsPerSecond), String(seconds)];
      const { stdout } = await run(process.execPath, args, { maxBuffer: 64 * 1024 * 1024 });
      const latencies = JSON.parse(stdout) as readonly number[];
      into.push({ p50Ms: percentile(latencies, 0.5), p99Ms: percentile(latencies, 0.99) });
    }
  }
  const after = await webhook();
  return { with: with_, without, webhookMeanMs: ((after.sum - before.sum) / (after.count - before.count)) * 1_000 };
}

/** The API server's own measure of the calls. */
async function webhookTime({
  kubectl,
}: AdmissionEnvironment): Promise<{ readonly sum: number; readonly count: number }> {
  const { stdout } = await kubectl(["get", "--raw", "/metrics"]);
  const value = (suffix: string) =>
    stdout
      .split("\n")
      .filter((line) => line.startsWith(`apiserver_admission_webhook_admission_duration_seconds_${suffix}{`))
      .filter((line) => line.includes('name="pods.slipway.dev"') && line.includes('operation="CREATE"'))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  return { sum: value("sum"), count: value("count") };
}

/** From the request that creates a namespace to the watch event of its Secret; no pod is involved. */
async function measureSecrets(
  world: AdmissionEnvironment,
  announce: (line: string) => void,
): Promise<readonly number[]> {
  announce(`${namespaces} namespaces, one after the other`);
  const watch = await watchSecrets(world);
  const times: number[] = [];
  try {
    for (let index = 0; index < namespaces; index++) {
      const name = `timed-${index}`;
      const arrived = watch.arrival(name);
      const startedAt = performance.now();
      await world.api.create(resources.namespaces, { metadata: { name, labels: optedIn } }, { signal: world.signal });
      times.push((await arrived) - startedAt);
    }
  } finally {
    watch.close();
  }
  return times;
}

/** Further processes of the bundle beside those of the environment: a replica that does not lead, and a gateway. */
async function measureProcesses(world: AdmissionEnvironment, announce: (line: string) => void) {
  const folder = await mkdtemp(join(tmpdir(), "slipway-bench-"));
  const running: MeasuredProcess[] = [];
  try {
    const tokenFile = join(folder, "token");
    const account = { namespace: "slipway-system", name: "serve" };
    const options = { audiences: ["slipway-gateway"], signal: world.signal };
    await writeFile(tokenFile, (await createTokenRequester(world.api).request(account, options)).token);
    const bundle = [process.execPath, root("dist/main.js")];
    const start = async (command: readonly string[]) => {
      const operations = await freePort();
      const ports = ["--port", String(await freePort()), "--operations-port", String(operations)];
      const startedAt = performance.now();
      const started = await startMeasured([...bundle, ...command, ...ports, "--kubeconfig", world.file.kubeconfig]);
      running.push(started);
      await untilReady(operations);
      return { started, readyMs: performance.now() - startedAt };
    };
    const serve = ["serve", "--pod-name", "bench", "--image", "slipway:bench", "--gateway-token-file", tokenFile];
    const startUps: number[] = [];
    for (let repetition = 1; repetition <= repetitions; repetition++) {
      announce(`start of serve, repetition ${repetition}`);
      const { started, readyMs } = await start(serve);
      startUps.push(readyMs);
      await started.stop();
    }
    announce("serve and gateway idle");
    const idleServe = await start(serve);
    const idleGateway = await start(["gateway"]);
    await systemClock.sleep(idleMs, world.signal);
    return {
      startUps,
      serveMiB: idleServe.started.residentMiB(),
      gatewayMiB: idleGateway.started.residentMiB(),
    };
  } finally {
    for (const one of running) await one.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function untilReady(port: number): Promise<void> {
  const deadlineMs = performance.now() + 30_000;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz?verbose`).catch(() => undefined);
    if (answer?.status === 200) return;
    if (performance.now() > deadlineMs) throw new Error(`not ready: ${(await answer?.text()) ?? "no answer"}`);
    await systemClock.sleep(10, new AbortController().signal);
  }
}

function report(found: {
  readonly loadBefore: number;
  readonly pods: Awaited<ReturnType<typeof measurePods>>;
  readonly secrets: readonly number[];
  readonly firstPods: readonly number[];
  readonly startUps: readonly number[];
  readonly serveMiB: number;
  readonly gatewayMiB: number;
}): string {
  const { pods, secrets, firstPods, startUps } = found;
  const latency = (name: string, values: readonly Latency[]) => [
    name,
    withSpread(
      values.map(({ p50Ms }) => p50Ms),
      1,
    ),
    withSpread(
      values.map(({ p99Ms }) => p99Ms),
      1,
    ),
  ];
  return [
    "## The main job",
    "",
    `Measured ${new Date().toISOString().slice(0, 10)} by \`npm run bench main\` on ${cpus()[0]?.model.trim() ?? "an unknown CPU"}, ${availableParallelism()} cores, Node ${process.version}; load average before it ${format(found.loadBefore, 1)}, after it ${format(loadavg()[0] ?? Number.NaN, 1)}. A real kube-apiserver with etcd, CNCF Distribution, serve and gateway, all on the same cores as the load; no kubelet. ${repetitions} interleaved repetitions; median (least–greatest).`,
    "",
    table(
      [`pods created at ${podsPerSecond} per second, through the API server`, "p50, ms", "p99, ms"],
      [latency("in a namespace that is not opted in", pods.without), latency("with Slipway", pods.with)],
    ),
    "",
    `Of that, the call of the webhook took ${format(pods.webhookMeanMs, 2)} ms on average by the API server's own metric.`,
    "",
    table(
      ["", "measured"],
      [
        ["Namespace created → its Secret seen by a watch, p50", `${format(percentile(secrets, 0.5), 1)} ms`],
        ["the same, p99", `${format(percentile(secrets, 0.99), 1)} ms`],
        [
          `first pods of ${namespacesAtOnce} namespaces made a moment ago, at once: creation of the pod through the API server, p50`,
          `${format(percentile(firstPods, 0.5), 1)} ms`,
        ],
        ["the same, p99 (goal of the whole admission: < 100 ms)", `${format(percentile(firstPods, 0.99), 1)} ms`],
        ["`slipway serve` (bundle): start of the process → `/readyz` is 200", `${withSpread(startUps)} ms`],
        ["resident memory of serve, idle (a replica that does not lead)", `${format(found.serveMiB)} MiB`],
        ["resident memory of the gateway, idle", `${format(found.gatewayMiB)} MiB`],
      ],
    ),
  ].join("\n");
}
