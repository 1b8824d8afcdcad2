import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Registry } from "prom-client";
import { systemClock } from "../../../src/clock.ts";
import { createMemoryStore } from "../../../src/cluster/memory-store.ts";
import { createReflector, type Reflector } from "../../../src/cluster/reflector.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { createLog } from "../../../src/log.ts";
import { createSecretEnsure } from "../../../src/namespace/ensure.ts";
import { type ObservedNamespace, type ObservedSecret, observeSecret } from "../../../src/namespace/observed.ts";
import { createSecretWriter } from "../../../src/namespace/secret-writer.ts";
import { optInSelection } from "../../../src/namespace/selection.ts";
import { compiledCredential, compiledState } from "../../fake/compiled.ts";
import { createNamespace, startTestCluster, type TestCluster } from "../../integration/credential/cluster.ts";
import { dockerConfig, putSource } from "../../integration/credential/controller.ts";
import { bundleInto } from "../bundled.ts";
import { type MeasuredProcess, startMeasured } from "../measured-process.ts";
import { format, percentile, table } from "../statistics.ts";

const firstCount = 1_000;
const fullCount = 5_000;
const perSecond = 100;
const atOnce = 20;
const ensureRounds = 10;
const never = new AbortController().signal;
const log = createLog({ level: "silent" });

type Observed = {
  readonly store: Reflector<ObservedSecret>;
  readonly seenAtMs: Map<string, number>;
  end(): Promise<void>;
};
type Start = { readonly lists: readonly string[]; readonly writes: number; readonly startMs: number };

/** Credentials at scale against a real API server; the section of docs/benchmarks.md, in Markdown. */
export async function runBench(announce: (line: string) => void): Promise<string> {
  const loadBefore = loadavg()[0] ?? Number.NaN;
  const folder = await mkdtemp(join(tmpdir(), "slipway-bench-"));
  const cluster = await startTestCluster();
  let controller: MeasuredProcess | undefined;
  try {
    const program = await bundleController(folder);
    const startController = (revision: number) =>
      startMeasured([process.execPath, program, cluster.kubeconfigPath, String(revision)]);
    await createNamespace(cluster.api, "slipway-system", { labels: {} });
    await putSource(cluster.api, "bench", dockerConfig({ "registry.example.com": "1" }));
    announce("the inline ensure");
    const ensureMs = await measureEnsure(cluster);
    const secrets = await observeSecrets(cluster);
    controller = await startController(1);
    announce(`${firstCount} namespaces, ${perSecond} a second`);
    const creationMs = await measureCreation(cluster, secrets);
    announce(`${fullCount} namespaces`);
    await inParallel(range(firstCount, fullCount), (index) => createNamespace(cluster.api, nameOf(index)));
    await until(() => secrets.store.list().length >= fullCount + ensureRounds * atOnce);
    announce("a rotation");
    const rotation = await measureRotation(cluster, secrets, controller);
    announce("a raw loop of applies");
    const raw = await measureRawApplies(cluster);
    const residentMiB = controller.residentMiB();
    await controller.stop();
    announce("a restart with all in step");
    controller = await startController(2);
    const restart = JSON.parse(controller.firstLine) as Start;
    await secrets.end();
    return report({ ensureMs, creationMs, rotation, raw, residentMiB, restart, loadBefore });
  } finally {
    await controller?.stop();
    await cluster.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function bundleController(folder: string): Promise<string> {
  const file = fileURLToPath(new URL("controller-process.ts", import.meta.url));
  return (await bundleInto(folder, [file]))(file);
}

const nameOf = (index: number) => `bench-${index}`;
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

async function inParallel(indexes: readonly number[], work: (index: number) => Promise<unknown>): Promise<void> {
  const waiting = [...indexes];
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await work(next);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

async function until(isSo: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 300_000;
  while (!isSo()) {
    if (performance.now() > deadlineMs) throw new Error("did not happen in 300 s");
    await systemClock.sleep(5, never);
  }
}

async function observeSecrets(cluster: TestCluster): Promise<Observed> {
  const store = createReflector({
    transport: cluster.transport,
    resource: resources.secrets,
    fieldSelector: "metadata.name=slipway-pull",
    metadataOnly: true,
    project: observeSecret,
    clock: systemClock,
    random: Math.random,
    log,
    metrics: new Registry(),
  });
  const seenAtMs = new Map<string, number>();
  store.onChange((key) => seenAtMs.set(key.slice(0, key.indexOf("/")), performance.now()));
  const stop = new AbortController();
  const running = store.run(stop.signal);
  await store.whenSynced(AbortSignal.timeout(60_000));
  return {
    store,
    seenAtMs,
    async end() {
      stop.abort();
      await running;
    },
  };
}

/** Brand-new namespaces, twenty first pods at once, by a replica whose watches have not shown anything yet. */
async function measureEnsure(cluster: TestCluster): Promise<readonly number[]> {
  const counted = cluster.openCounted();
  const state = compiledState({ credentials: [compiledCredential("bench", { "registry.example.com": "1" })] });
  const ensure = createSecretEnsure({
    api: counted.api,
    writer: createSecretWriter({ api: counted.api }),
    namespaces: createMemoryStore<ObservedNamespace>(),
    pullSecrets: createMemoryStore<ObservedSecret>(),
    compiled: () => state,
    readCompiled: async () => state,
    selection: optInSelection,
    clock: systemClock,
    log,
    metrics: new Registry(),
  });
  const durations: number[] = [];
  for (let round = 0; round < ensureRounds; round++) {
    const names = range(0, atOnce).map((index) => `ensure-${round}-${index}`);
    for (const name of names) await createNamespace(cluster.api, name);
    await Promise.all(
      names.map(async (name) => {
        const beganMs = performance.now();
        const answer = await ensure.ensure(name, { deadlineMs: beganMs + 4_000, dryRun: false });
        if (answer.kind !== "ready") throw new Error(`ensure answered ${JSON.stringify(answer)}`);
        durations.push(performance.now() - beganMs);
      }),
    );
  }
  return durations;
}

/** From the answer to the namespace's creation until a watch shows its Secret; negative where the Secret is seen first. */
async function measureCreation(cluster: TestCluster, { seenAtMs }: Observed): Promise<readonly number[]> {
  const createdAtMs = new Map<string, number>();
  const beganMs = performance.now();
  const creations: Promise<void>[] = [];
  for (const index of range(0, firstCount)) {
    const leftMs = beganMs + (index * 1_000) / perSecond - performance.now();
    if (leftMs > 0) await systemClock.sleep(leftMs, never);
    const name = nameOf(index);
    creations.push(
      createNamespace(cluster.api, name).then(() => {
        createdAtMs.set(name, performance.now());
      }),
    );
  }
  await Promise.all(creations);
  await until(() => range(0, firstCount).every((index) => seenAtMs.has(nameOf(index))));
  return [...createdAtMs].map(([name, atMs]) => Math.max(0, (seenAtMs.get(name) ?? Number.NaN) - atMs));
}

/** @returns Secrets a second, from the signal until a watch has shown the last of them */
async function measureRotation(cluster: TestCluster, secrets: Observed, controller: MeasuredProcess): Promise<number> {
  await putSource(cluster.api, "bench", dockerConfig({ "registry.example.com": "2" }));
  secrets.seenAtMs.clear();
  const beganMs = performance.now();
  controller.child.kill("SIGUSR2");
  const all = fullCount + ensureRounds * atOnce;
  await until(() => secrets.seenAtMs.size >= all);
  return (all * 1_000) / (Math.max(...secrets.seenAtMs.values()) - beganMs);
}

/** The same writes by nothing but a loop: twenty at once, a Secret of another name in each namespace, changed. */
async function measureRawApplies(cluster: TestCluster): Promise<number> {
  const apply = (password: string) => (index: number) =>
    cluster.api.apply(
      resources.secrets,
      {
        metadata: { name: "raw", namespace: nameOf(index), annotations: { "slipway.dev/revision": password } },
        type: "kubernetes.io/dockerconfigjson",
        data: {
          ".dockerconfigjson": Buffer.from(dockerConfig({ "registry.example.com": password })).toString("base64"),
        },
      },
      { force: true, signal: never },
    );
  await inParallel(range(0, fullCount), apply("1"));
  const beganMs = performance.now();
  await inParallel(range(0, fullCount), apply("2"));
  return (fullCount * 1_000) / (performance.now() - beganMs);
}

function report(found: {
  readonly ensureMs: readonly number[];
  readonly creationMs: readonly number[];
  readonly rotation: number;
  readonly raw: number;
  readonly residentMiB: number;
  readonly restart: Start;
  readonly loadBefore: number;
}): string {
  const { ensureMs, creationMs, restart } = found;
  const ms = (values: readonly number[], share: number) => `${format(percentile(values, share), 1)} ms`;
  const lists = (path: string) => restart.lists.filter((list) => list === path).length;
  return [
    "## Credentials",
    "",
    `A real kube-apiserver and etcd, the load and the controller share ${availableParallelism()} cores of ${cpus()[0]?.model ?? "an unknown processor"}; Node ${process.version}. Load average before: ${format(found.loadBefore, 2)}; below 0.5 is an idle machine. Client rate limits are off. The controller is a process of its own, with the reflectors, queue and sync of serve; the webhook's server is not part of it.`,
    "",
    table(
      ["what", "goal", "measured"],
      [
        [
          `${format(firstCount)} namespaces at ${perSecond} a second: from the namespace to its Secret`,
          "p50 < 50 ms, p99 < 300 ms",
          `p50 ${ms(creationMs, 0.5)}, p99 ${ms(creationMs, 0.99)}`,
        ],
        [
          `a new login in ${format(fullCount + ensureRounds * atOnce)} namespaces`,
          "≥ 0.8 of the raw loop",
          `${format(found.rotation)} Secrets/s, ${format(found.rotation / found.raw, 2)} of it`,
        ],
        [`raw loop, ${atOnce} applies at once, ${format(fullCount)} Secrets`, "", `${format(found.raw)} Secrets/s`],
        ["resident memory of the controller after that", "< 200 MB (serve)", `${format(found.residentMiB)} MiB`],
        [
          "start with all in step",
          "< 3 lists a resource, no writes",
          `${lists("/api/v1/namespaces")} pages of namespaces, ${lists("/api/v1/secrets")} of Secrets (5,000 a page), ${restart.writes} writes, ${format(restart.startMs / 1_000, 1)} s`,
        ],
        [
          `inline ensure in ${atOnce} brand-new namespaces at once, ${ensureRounds} times`,
          "p99 < 100 ms (whole admission)",
          `p50 ${ms(ensureMs, 0.5)}, p99 ${ms(ensureMs, 0.99)}`,
        ],
      ],
    ),
  ].join("\n");
}
