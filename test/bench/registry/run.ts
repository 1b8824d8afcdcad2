import { availableParallelism, cpus, loadavg } from "node:os";
import { findRegistryProgram } from "../../../src/dev/programs.ts";
import { type GatewayProcess, startGatewayProcess } from "../../integration/gateway/gateway-process.ts";
import { adminLogin, issueCertificates, startStore } from "../../integration/gateway/harness.ts";
import { basic, createRegistryClient, manifestType } from "../../integration/gateway/registry-client.ts";
import { startBareRegistry } from "../../integration/registry/distribution.ts";
import { format, median, table, withSpread } from "../statistics.ts";
import { type BenchClient, contentOf, createBenchClient } from "./client.ts";

const repository = "team-a/bench";
const repetitions = 3;
const blobMebibytes = 500;
const manifests = 1_000;
const concurrency = 8;
const pushes = 10;
const pushMebibytes = 200;
const tokenSeconds = 5;

type Announce = (line: string) => void;
type Rates = { readonly bare: number[]; readonly gateway: number[] };
type Sides = { readonly bare: BenchClient; readonly gateway: BenchClient };

/** The registry through the gateway (TLS, token) against the bare one (plain HTTP): a section of docs/benchmarks.md. */
export async function runBench(announce: Announce): Promise<string> {
  const loadBefore = loadavg()[0] ?? Number.NaN;
  const program = await findRegistryProgram({ env: process.env, announce });
  const certificates = await issueCertificates();
  const bare = await startBareRegistry();
  const store = await startStore(program, certificates.tokenCa);
  const open = () => startGatewayProcess({ distributionUrl: store.url, certificates, port: 0 });
  const gateway = await open();
  const fresh = await open();
  try {
    const sides: Sides = { bare: createBenchClient({ url: bare.url }), gateway: await clientOf(gateway) };
    const blobs = await measureBlobs(sides, announce);
    const small = await measureManifests(sides, announce);
    sides.bare.close();
    sides.gateway.close();
    announce(`${pushes} pushes of ${pushMebibytes} MiB at once, at a gateway that has done nothing else`);
    const memory = await measureMemory(fresh);
    announce("tokens");
    const tokens = await measureTokens(gateway);
    return report({ loadBefore, blobs, small, memory, tokens });
  } finally {
    await gateway.kill();
    await fresh.kill();
    await store.stop();
    await bare.remove();
  }
}

async function clientOf(gateway: GatewayProcess): Promise<BenchClient> {
  const tokens = createRegistryClient(gateway);
  const token = await tokens.token(adminLogin, `repository:${repository}:pull,push,delete`);
  tokens.close();
  return createBenchClient({ url: gateway.url, ca: gateway.ca, authorization: `Bearer ${token}` });
}

/** MiB/s, both sides in turn. */
async function measureBlobs(sides: Sides, announce: Announce): Promise<{ push: Rates; pull: Rates }> {
  const [push, pull]: [Rates, Rates] = [
    { bare: [], gateway: [] },
    { bare: [], gateway: [] },
  ];
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    announce(`a blob of ${blobMebibytes} MiB, ${repetition} of ${repetitions}`);
    const content = contentOf(blobMebibytes, `blob ${repetition}`);
    for (const side of ["bare", "gateway"] as const) {
      push[side].push(blobMebibytes / (await secondsOf(() => sides[side].push(repository, content))));
      const pulled = await secondsOf(async () => {
        const bytes = await sides[side].pull(repository, content.digest);
        if (bytes !== content.size) throw new Error(`${bytes} bytes came instead of ${content.size}`);
      });
      pull[side].push(blobMebibytes / pulled);
    }
  }
  return { push, pull };
}

/** Manifests each second, eight at a time, both sides in turn. */
async function measureManifests(sides: Sides, announce: Announce): Promise<{ push: Rates; pull: Rates }> {
  const [push, pull]: [Rates, Rates] = [
    { bare: [], gateway: [] },
    { bare: [], gateway: [] },
  ];
  const config = contentOf(1, "config");
  for (const side of ["bare", "gateway"] as const) await sides[side].push(repository, config);
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    announce(`${manifests} manifests, ${repetition} of ${repetitions}`);
    for (const side of ["bare", "gateway"] as const) {
      const put = (index: number) => putManifest(sides[side], `r${repetition}-${index}`, config);
      push[side].push(manifests / (await secondsOf(() => atOnce(manifests, put))));
      const get = (index: number) => getManifest(sides[side], `r${repetition}-${index}`);
      pull[side].push(manifests / (await secondsOf(() => atOnce(manifests, get))));
    }
  }
  return { push, pull };
}

async function putManifest(
  client: BenchClient,
  tag: string,
  config: { readonly digest: string; readonly size: number },
): Promise<void> {
  const mediaType = "application/vnd.oci.image.config.v1+json";
  const descriptor = { mediaType, digest: config.digest, size: config.size };
  const manifest = { schemaVersion: 2, mediaType: manifestType, config: descriptor, layers: [], annotations: { tag } };
  const headers = { "content-type": manifestType };
  const path = `/v2/${repository}/manifests/${tag}`;
  await (await client.ask("PUT", path, { want: 201, headers, body: JSON.stringify(manifest) })).toArray();
}

async function getManifest(client: BenchClient, tag: string): Promise<void> {
  const headers = { accept: manifestType };
  await (await client.ask("GET", `/v2/${repository}/manifests/${tag}`, { want: 200, headers })).toArray();
}

/** Bytes at the highest. */
async function measureMemory(gateway: GatewayProcess): Promise<number> {
  const client = await clientOf(gateway);
  const contents = Array.from({ length: pushes }, (_, index) => contentOf(pushMebibytes, `push ${index}`));
  await Promise.all(contents.map((content) => client.push(repository, content)));
  client.close();
  return (await gateway.usage()).peak;
}

/** Tokens each second of the gateway's own processor time, and each second of the clock. */
async function measureTokens(gateway: GatewayProcess): Promise<{ perCoreSecond: number; perSecond: number }> {
  const client = createBenchClient({ url: gateway.url, ca: gateway.ca, authorization: basic(adminLogin) });
  const path = `/auth/token?service=slipway-registry&scope=repository:${repository}:pull,push`;
  let issued = 0;
  const before = (await gateway.usage()).processorMs;
  const seconds = await secondsOf(async () => {
    const endMs = performance.now() + tokenSeconds * 1_000;
    const work = async () => {
      while (performance.now() < endMs) {
        await (await client.ask("GET", path, { want: 200 })).toArray();
        issued++;
      }
    };
    await Promise.all(Array.from({ length: concurrency }, work));
  });
  const used = (await gateway.usage()).processorMs - before;
  client.close();
  return { perCoreSecond: issued / (used / 1_000), perSecond: issued / seconds };
}

async function atOnce(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}

async function secondsOf(work: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1_000;
}

function report(found: {
  readonly loadBefore: number;
  readonly blobs: { readonly push: Rates; readonly pull: Rates };
  readonly small: { readonly push: Rates; readonly pull: Rates };
  readonly memory: number;
  readonly tokens: { readonly perCoreSecond: number; readonly perSecond: number };
}): string {
  const compare = (what: string, rates: Rates, goal: string) => [
    what,
    withSpread(rates.bare),
    withSpread(rates.gateway),
    format(median(rates.gateway) / median(rates.bare), 2),
    goal,
  ];
  const { blobs, small, memory, tokens } = found;
  const model = cpus()[0]?.model ?? "unknown";
  return `## Registry

${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${availableParallelism()} cores (${model}), load before ${format(found.loadBefore, 1)}.
Client, gateway and Distribution 3.1.1 share the machine. Bare: plain HTTP, no login. Through the gateway: TLS and a token. Median (least–greatest) of ${repetitions}.

${table(
  ["what", "bare", "through the gateway", "ratio", "goal"],
  [
    compare(`push of a blob of ${blobMebibytes} MiB, MiB/s`, blobs.push, "≥ 0.6"),
    compare(`pull of it, MiB/s`, blobs.pull, "≥ 0.6"),
    compare(`push of ${manifests} manifests, ${concurrency} at a time, per second`, small.push, "≥ 0.5"),
    compare(`pull of them, per second`, small.pull, "≥ 0.5"),
  ],
)}

${table(
  ["what", "value", "goal"],
  [
    [
      `memory of the gateway at ${pushes} pushes of ${pushMebibytes} MiB at once, most`,
      `${format(memory / 1024 / 1024)} MiB`,
      "< 150 MB",
    ],
    ["tokens for one second of processor time", format(tokens.perCoreSecond), ""],
    ["tokens each second, clients on the same machine", format(tokens.perSecond), ""],
  ],
)}`;
}
