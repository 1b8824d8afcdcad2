import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { availableParallelism, cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createSelfSigned } from "../../fake/self-signed.ts";
import { bundleInto } from "../bundled.ts";
import { type MeasuredProcess, onCore, startMeasured } from "../measured-process.ts";
import { format, median, percentile, table, withSpread } from "../statistics.ts";
import { findLoad, type Load } from "./load.ts";
import { measureMutation } from "./mutation.ts";
import { checkAnswer, createReview } from "./review.ts";

const run = promisify(execFile);
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

const repetitions = 3;
const seconds = 3;
/** Until the just-in-time compilers are done. */
const warmUpSeconds = 4;
const sizes = [3_000, 40_000];
const connections = [1, 16, 64];

type Contender = { readonly name: string; readonly command: readonly string[]; readonly env?: Record<string, string> };
type Sample = { readonly perSecond: number; readonly p50Ms: number; readonly p99Ms: number; readonly cpu: number };
type Bench = {
  readonly folder: string;
  readonly caFile: string;
  readonly load: Load;
  readonly serverCore: number | undefined;
  readonly announce: (line: string) => void;
};

/** Slipway's route beside other webhooks that do the same; the section of docs/benchmarks.md, in Markdown. */
export async function runBench(announce: (line: string) => void): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-bench-"));
  try {
    const { cert, key } = createSelfSigned();
    const caFile = join(folder, "tls.crt");
    await Promise.all([writeFile(caFile, cert), writeFile(join(folder, "tls.key"), key)]);
    // One core for the server and another for the load, where there are two.
    const cores = availableParallelism() >= 2 ? { server: 0, load: 1 } : { server: undefined, load: undefined };
    const load = findLoad({ folder, core: cores.load, caFile });
    const bench = { folder, caFile, load, serverCore: cores.server, announce };
    const contenders = await findContenders(folder, announce);
    const loadBefore = loadavg()[0] ?? Number.NaN;
    const samples = await compare(bench, contenders);
    const rate = await measureRate(bench, contenders[0] as Contender);
    announce("the mutation alone");
    return report({ bench, contenders, samples, rate, mutation: measureMutation(), loadBefore });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function findContenders(folder: string, announce: (line: string) => void): Promise<readonly Contender[]> {
  const servers = ["server-slipway.ts", "server-bare.ts", "server-usual.ts"];
  const bundled = await bundleInto(folder, servers.map(here));
  const node = (file: string, ...args: readonly string[]) => [process.execPath, bundled(file), ...args];
  const files = [join(folder, "tls.crt"), join(folder, "tls.key")];
  const contenders: Contender[] = [
    { name: "Slipway", command: node("server-slipway.ts", ...files) },
    { name: "Slipway, handler before express", command: node("server-slipway.ts", ...files, "direct") },
    { name: "bare node:https, a fixed patch", command: node("server-bare.ts", ...files) },
    { name: "express.json and fast-json-patch compare", command: node("server-usual.ts", ...files) },
  ];
  const program = join(folder, "controller-runtime");
  announce("building the webhook on controller-runtime");
  try {
    await run("go", ["build", "-o", program, "."], { cwd: here("controller-runtime") });
    contenders.push({ name: "controller-runtime", command: [program, ...files], env: { GOMAXPROCS: "1" } });
  } catch (error) {
    announce(`without controller-runtime, which cannot be built: ${error instanceof Error ? error.message : error}`);
  }
  return contenders;
}

/** All contenders in turn, then again: what the machine does meanwhile hits each of them. */
async function compare(bench: Bench, contenders: readonly Contender[]) {
  const samples = new Map<string, Sample[]>();
  const resident = new Map<string, number>();
  for (const bytes of sizes) {
    const review = createReview(bytes);
    const bodyFile = join(bench.folder, `review-${bytes}.json`);
    await writeFile(bodyFile, review);
    for (let repetition = 1; repetition <= repetitions; repetition++) {
      for (const contender of contenders) {
        bench.announce(`${bytes} bytes, repetition ${repetition}: ${contender.name}`);
        const server = await startMeasured(onCore(bench.serverCore, contender.command), contender.env);
        try {
          checkAnswer(review, await ask(server.firstLine, review, bench.caFile));
          await bench.load.run({ port: server.firstLine, bodyFile, connections: 16, seconds: warmUpSeconds });
          for (const count of connections) {
            const key = `${contender.name}\n${bytes}\n${count}`;
            const sample = await measure(bench, server, { bodyFile, connections: count });
            samples.set(key, [...(samples.get(key) ?? []), sample]);
          }
          resident.set(contender.name, Math.max(resident.get(contender.name) ?? 0, server.residentMiB()));
        } finally {
          await server.stop();
        }
      }
    }
  }
  return { samples, resident };
}

async function measure(
  { load }: Bench,
  server: MeasuredProcess,
  target: { readonly bodyFile: string; readonly connections: number },
): Promise<Sample> {
  const cpuBefore = server.cpuSeconds();
  const startedAt = performance.now();
  const result = await load.run({ port: server.firstLine, ...target, seconds });
  const elapsed = (performance.now() - startedAt) / 1_000;
  return { ...result, cpu: (server.cpuSeconds() - cpuBefore) / elapsed };
}

function ask(port: string, body: string, caFile: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  void readFile(caFile).then((ca) => {
    const exchange = request({ host: "127.0.0.1", port, path: "/mutate", method: "POST", ca, headers }, (response) => {
      response
        .setEncoding("utf8")
        .toArray()
        .then((chunks) => resolve(chunks.join("")), reject);
    });
    exchange.once("error", reject);
    exchange.end(body);
  }, reject);
  return promise;
}

async function measureRate(bench: Bench, contender: Contender) {
  const results: { readonly rate: number; readonly p50Ms: number; readonly p99Ms: number }[] = [];
  const bodyFile = join(bench.folder, `review-${sizes[0]}.json`);
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    bench.announce(`1,000 requests per second, repetition ${repetition}`);
    const server = await startMeasured(onCore(bench.serverCore, contender.command));
    try {
      const script = here("constant-rate.ts");
      const args = [script, server.firstLine, bodyFile, bench.caFile, "1000", "8"];
      const [program = "", ...rest] = onCore(bench.serverCore === undefined ? undefined : 1, [
        process.execPath,
        ...args,
      ]);
      const { stdout } = await run(program, rest, { maxBuffer: 64 * 1024 * 1024 });
      const latencies = JSON.parse(stdout) as readonly number[];
      results.push({ rate: 1_000, p50Ms: percentile(latencies, 0.5), p99Ms: percentile(latencies, 0.99) });
    } finally {
      await server.stop();
    }
  }
  return results;
}

function report(found: {
  readonly bench: Bench;
  readonly contenders: readonly Contender[];
  readonly samples: Awaited<ReturnType<typeof compare>>;
  readonly rate: Awaited<ReturnType<typeof measureRate>>;
  readonly mutation: ReturnType<typeof measureMutation>;
  readonly loadBefore: number;
}): string {
  const { bench, contenders, samples, rate, mutation, loadBefore } = found;
  const of = (name: string, bytes: number, count: number, field: keyof Sample) =>
    (samples.samples.get(`${name}\n${bytes}\n${count}`) ?? []).map((sample) => sample[field]);
  /** What the server does with a second of its own CPU time: hardly touched by what else the machine does. */
  const perCpuSecond = (name: string, bytes: number) =>
    (samples.samples.get(`${name}\n${bytes}\n16`) ?? []).map(({ perSecond, cpu }) => perSecond / cpu);
  const throughput = (bytes: number) =>
    table(
      [
        "",
        ...connections.map((count) => `${count} connection${count === 1 ? "" : "s"}`),
        "CPU at 16",
        "per CPU second at 16",
        "p99 at 16, ms",
      ],
      contenders.map(({ name }) => [
        name,
        ...connections.map((count) => withSpread(of(name, bytes, count, "perSecond"))),
        `${format(median(of(name, bytes, 16, "cpu")) * 100)} %`,
        withSpread(perCpuSecond(name, bytes)),
        withSpread(of(name, bytes, 16, "p99Ms"), 1),
      ]),
    );
  const ratio = (bytes: number, other: string) => {
    const own = median(perCpuSecond("Slipway", bytes));
    return format(own / median(perCpuSecond(other, bytes)), 2);
  };
  const goals = [
    ["bare node:https, a fixed patch", "≥ 0.7"],
    ["controller-runtime", "≥ 4"],
    ["express.json and fast-json-patch compare", "≥ 3"],
  ].filter(([name]) => contenders.some((contender) => contender.name === name));
  return [
    "## The webhook's route",
    "",
    `Measured ${new Date().toISOString().slice(0, 10)} by \`npm run bench admission\` on ${cpus()[0]?.model.trim() ?? "an unknown CPU"}, ${availableParallelism()} cores, Node ${process.version}; load average before it ${format(loadBefore, 1)}, after it ${format(loadavg()[0] ?? Number.NaN, 1)}. One core for the server, another for the load (${bench.load.name}), TLS, keep-alive. ${repetitions} interleaved repetitions of ${seconds} s; median (least–greatest). Each server's answer was checked before it was timed. CPU below 95 % means that the load, or something else on the machine, was the limit, not the server: then the requests per CPU second of the server are what compares.`,
    "",
    ...sizes.flatMap((bytes) => [`Requests per second, reviews of ${format(bytes)} bytes:`, "", throughput(bytes), ""]),
    table(
      ["Slipway's requests per CPU second as a multiple of", "goal", ...sizes.map((bytes) => `${format(bytes)} bytes`)],
      goals.map(([name = "", goal = ""]) => [name, goal, ...sizes.map((bytes) => ratio(bytes, name))]),
    ),
    "",
    table(
      ["", "goal", "measured"],
      [
        [
          "p50 at 1,000 requests per second, 3 kB",
          "≤ 1 ms",
          `${withSpread(
            rate.map((result) => result.p50Ms),
            2,
          )} ms`,
        ],
        [
          "p99 at 1,000 requests per second, 3 kB",
          "≤ 5 ms",
          `${withSpread(
            rate.map((result) => result.p99Ms),
            2,
          )} ms`,
        ],
        [
          "resident memory after that load, the greatest",
          "< 120 MB",
          contenders.map(({ name }) => `${name}: ${format(samples.resident.get(name) ?? Number.NaN)} MiB`).join("; "),
        ],
        ["a pod with 500 containers, the decision alone", "< 5 ms", `${withSpread(mutation.fiveHundredMs, 2)} ms`],
        ...mutation.perImage.map(({ rules, microseconds }) => [
          `cost per image with ${format(rules)} rules`,
          "flat within 2×",
          `${withSpread(microseconds, 2)} µs`,
        ]),
      ],
    ),
  ].join("\n");
}
