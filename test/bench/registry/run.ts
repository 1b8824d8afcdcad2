import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { registryCertificateSecretName } from "../../../src/config/names.ts";
import { findRegistryProgram } from "../../../src/dev/programs.ts";
import { gatewayNodeOptions } from "../../../src/registry/pod-template.ts";
import { secretValue } from "../../../src/tls/secret-data.ts";
import { type GatewayProcess, startGatewayProcess } from "../../integration/gateway/gateway-process.ts";
import { adminLogin, type Certificates, issueCertificates, startStore } from "../../integration/gateway/harness.ts";
import { basic, createRegistryClient, manifestType } from "../../integration/gateway/registry-client.ts";
import { startBareRegistry } from "../../integration/registry/distribution.ts";
import { format, median, table, withSpread } from "../statistics.ts";
import { type BenchClient, contentOf, createBenchClient } from "./client.ts";
import { startTlsProxy } from "./tls-proxy.ts";

const repository = "team-a/bench";
const repetitions = 3;
const blobMebibytes = 500;
const manifests = 1_000;
const concurrency = 8;
const pushes = 10;
const pushMebibytes = 200;
const storePushMebibytes = 100;
const tokenSeconds = 5;

type Announce = (line: string) => void;
/** `floor`: a proxy that only ends TLS, in front of the gateway's own Distribution and its check of tokens. */
const sideNames = ["bare", "gateway", "floor"] as const;
type Rates = Readonly<Record<(typeof sideNames)[number], number[]>>;
type Sides = Readonly<Record<(typeof sideNames)[number], BenchClient>>;

/** The registry through the gateway (TLS, token) against the bare one (plain HTTP): a section of docs/benchmarks.md. */
export async function runBench(announce: Announce): Promise<string> {
  const loadBefore = loadavg()[0] ?? Number.NaN;
  const registry = await findRegistryProgram({ env: process.env, announce });
  const certificates = await issueCertificates();
  const folder = await mkdtemp(join(tmpdir(), "slipway-bench-"));
  const program = await bundleGateway(folder);
  const bare = await startBareRegistry();
  const [store, other] = [
    await startStore(registry, certificates.tokenCa),
    await startStore(registry, certificates.tokenCa),
  ];
  const as = { program, nodeOptions: [gatewayNodeOptions] };
  const open = (distributionUrl: string) => startGatewayProcess({ distributionUrl, certificates, port: 0 }, as);
  const [gateway, fresh] = [await open(store.url), await open(other.url)];
  const proxy = await startTlsProxy({ port: Number(new URL(store.url).port), ...servingPair(certificates) });
  try {
    const sides: Sides = {
      bare: createBenchClient({ url: bare.url }),
      gateway: await clientOf(gateway),
      floor: await clientOf(gateway, proxy.url),
    };
    const blobs = await measureBlobs(sides, announce);
    const small = await measureManifests(sides, announce);
    for (const name of sideNames) sides[name].close();
    const memory = await measureMemory({ gateway: fresh, registryPid: other.pid }, announce);
    announce("tokens");
    const tokens = await measureTokens(gateway);
    return report({ loadBefore, blobs, small, memory, tokens });
  } finally {
    await gateway.kill();
    await fresh.kill();
    await proxy.stop();
    await store.stop();
    await other.stop();
    await bare.remove();
    await rm(folder, { recursive: true, force: true });
  }
}

/** As the image has it: from sources the compiler of types would count into the gateway's memory. */
async function bundleGateway(folder: string): Promise<string> {
  const outfile = join(folder, "gateway-process.mjs");
  await build({
    entryPoints: [fileURLToPath(new URL("../../integration/gateway/gateway-process.ts", import.meta.url))],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node24",
    banner: { js: 'import { createRequire } from "node:module";\nconst require = createRequire(import.meta.url);' },
    logLevel: "warning",
  });
  return outfile;
}

function servingPair({ secrets }: Certificates): { readonly certificate: string; readonly key: string } {
  const secret = secrets.find(({ metadata }) => metadata.name === registryCertificateSecretName);
  return { certificate: secretValue(secret, "tls.crt"), key: secretValue(secret, "tls.key") };
}

/** @param url of what stands in front of the same Distribution; the gateway itself unless given */
async function clientOf(gateway: GatewayProcess, url = gateway.url): Promise<BenchClient> {
  const tokens = createRegistryClient(gateway);
  const token = await tokens.token(adminLogin, `repository:${repository}:pull,push,delete`);
  tokens.close();
  return createBenchClient({ url, ca: gateway.ca, authorization: `Bearer ${token}` });
}

/** MiB/s, all sides in turn. */
async function measureBlobs(sides: Sides, announce: Announce): Promise<{ push: Rates; pull: Rates }> {
  const [push, pull]: [Rates, Rates] = [
    { bare: [], gateway: [], floor: [] },
    { bare: [], gateway: [], floor: [] },
  ];
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    announce(`a blob of ${blobMebibytes} MiB, ${repetition} of ${repetitions}`);
    for (const side of sideNames) {
      // Each its own: gateway and floor share a store, which would know it already.
      const content = contentOf(blobMebibytes, `blob ${repetition} ${side}`);
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

/** Manifests each second, eight at a time, all sides in turn. */
async function measureManifests(sides: Sides, announce: Announce): Promise<{ push: Rates; pull: Rates }> {
  const [push, pull]: [Rates, Rates] = [
    { bare: [], gateway: [], floor: [] },
    { bare: [], gateway: [], floor: [] },
  ];
  const config = contentOf(1, "config");
  for (const side of sideNames) await sides[side].push(repository, config);
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    announce(`${manifests} manifests, ${repetition} of ${repetitions}`);
    for (const side of sideNames) {
      const put = (index: number) => putManifest(sides[side], `${side}-${repetition}-${index}`, config);
      push[side].push(manifests / (await secondsOf(() => atOnce(manifests, put))));
      const get = (index: number) => getManifest(sides[side], `${side}-${repetition}-${index}`);
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

type Memory = { readonly gateway: number; readonly registry: number };

/** Bytes at the highest: of the gateway at ten large pushes, of Distribution at ten smaller ones that come first. */
async function measureMemory(
  of: { readonly gateway: GatewayProcess; readonly registryPid: number },
  announce: Announce,
): Promise<Memory> {
  const client = await clientOf(of.gateway);
  const pushAll = async (mebibytes: number) => {
    announce(`${pushes} pushes of ${mebibytes} MiB at once, at a gateway that has done nothing else`);
    const contents = Array.from({ length: pushes }, (_, index) => contentOf(mebibytes, `push ${index}`));
    await Promise.all(contents.map((content) => client.push(repository, content)));
  };
  await pushAll(storePushMebibytes);
  const registry = peakOf(of.registryPid);
  await pushAll(pushMebibytes);
  client.close();
  return { gateway: (await of.gateway.usage()).peak, registry };
}

/** Resident memory of a process at its highest, bytes (Linux). */
function peakOf(pid: number): number {
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1] ?? Number.NaN) * 1_024;
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
  readonly memory: Memory;
  readonly tokens: { readonly perCoreSecond: number; readonly perSecond: number };
}): string {
  const compare = (what: string, rates: Rates, goal: string) => [
    what,
    withSpread(rates.bare),
    withSpread(rates.gateway),
    format(median(rates.gateway) / median(rates.bare), 2),
    goal,
    `${withSpread(rates.floor)}; ${format(median(rates.floor) / median(rates.bare), 2)}`,
  ];
  const { blobs, small, memory, tokens } = found;
  const model = cpus()[0]?.model ?? "unknown";
  return `## Registry

${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${availableParallelism()} cores (${model}), load before ${format(found.loadBefore, 1)}.
Client, gateway and Distribution 3.1.1 share the machine. Bare: plain HTTP, no login. Through the gateway: TLS and a token. node:tls alone: a proxy that ends TLS and copies bytes, in front of the same Distribution with the same token; the least that any gateway in Node costs. Median (least–greatest) of ${repetitions}.

${table(
  ["what", "bare", "through the gateway", "ratio", "goal", "node:tls alone; ratio"],
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
      `${format(memory.gateway / 1024 / 1024)} MiB`,
      "< 150 MB",
    ],
    [
      `memory of Distribution at ${pushes} pushes of ${storePushMebibytes} MiB at once, most`,
      `${format(memory.registry / 1024 / 1024)} MiB`,
      "< 256 MB",
    ],
    ["tokens for one second of processor time", format(tokens.perCoreSecond), ""],
    ["tokens each second, clients on the same machine", format(tokens.perSecond), ""],
  ],
)}`;
}
