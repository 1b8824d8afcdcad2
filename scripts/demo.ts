// The whole promise on an embedded control plane, as a person would try it: see scripts/demo.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { parseArgs } from "node:util";
import { pino } from "pino";
import { systemClock } from "../src/clock.ts";
import { type DevEnvironment, startDevEnvironment } from "../src/command/dev-environment.ts";
import { findControlPlanePrograms } from "../src/dev/programs.ts";
import type { Blob } from "../src/registry/blob.ts";
import { createRegistryClient, type RegistryClient } from "../src/registry/client.ts";
import { pushImage } from "../src/registry/push.ts";
import { RegistryError } from "../src/registry/registry-error.ts";

const usage = `Usage: ./scripts/demo [--keep]

Starts kube-apiserver, etcd, CNCF Distribution, slipway serve and slipway gateway on loopback, pushes a small image,
creates a namespace and a pod in one go, and shows what became of them. Then it stops everything.
Ends with 1 when something did not become what Slipway promises.

  --keep  leave it running until Ctrl-C, and print the KUBECONFIG line
`;

const team = "team-a";
const neighbour = "team-b";
const publicImage = "docker.io/library/hello:1.0";

const { values } = parseArgs({ options: { keep: { type: "boolean" }, help: { type: "boolean", short: "h" } } });
if (values.help === true) {
  process.stdout.write(usage);
  process.exit(0);
}
const startedAtMs = performance.now();
const say = (line = "") => void process.stdout.write(`${line}\n`);
const seconds = () => `${((performance.now() - startedAtMs) / 1_000).toFixed(1)} s`;
/** What was promised and did not happen. */
const broken: string[] = [];
const stop = new AbortController();
process.once("SIGINT", () => stop.abort()).once("SIGTERM", () => stop.abort());

const programs = await findControlPlanePrograms({ env: process.env, announce: () => {} });
const environment = await startDevEnvironment({
  state: undefined,
  env: process.env,
  announce: (line) => say(`  ${line}`),
  log: pino({ level: "warn" }, pino.destination(2)),
});
try {
  say(`  ready after ${seconds()}`);
  await show(environment);
  say(`\nEverything above took ${seconds()}.`);
  for (const promise of broken) say(`  BROKEN: ${promise}`);
  if (broken.length > 0) process.exitCode = 1;
  if (values.keep === true) {
    say(`\nStill running; Ctrl-C ends it.\n  export KUBECONFIG=${environment.file.kubeconfig}`);
    await Promise.race([environment.failed, new Promise((resolve) => stop.signal.addEventListener("abort", resolve))]);
  }
} finally {
  await environment.stop();
}

async function show({ file }: DevEnvironment): Promise<void> {
  const ca = await readFile(file.registry.caFile, "utf8");
  const host = new URL(file.registry.url).host;
  const privateImage = `${host}/${team}/app:1.0`;
  const as = (login: { username: string; password: string }): RegistryClient =>
    createRegistryClient({
      origin: file.registry.url,
      ca: () => ca,
      login: () => login,
      clock: systemClock,
      random: Math.random,
    });
  const admin = as({ username: file.registry.username, password: await readFile(file.registry.passwordFile, "utf8") });

  say("\nPushing a small image, made on the spot, as a private one and as a mirrored one:");
  for (const repository of [`${team}/app`, "docker.io/library/hello"]) {
    await push(admin, repository);
    say(`  ${host}/${repository}:1.0`);
  }

  say(`\nOne kubectl apply: namespaces ${team} and ${neighbour} with the label, and a pod in each, in one file.`);
  const manifest = [
    namespace(team),
    pod(team, [privateImage, publicImage]),
    namespace(neighbour),
    pod(neighbour, [publicImage]),
  ];
  const path = join(file.kubeconfig, "..", "demo.json");
  await writeFile(path, JSON.stringify({ apiVersion: "v1", kind: "List", items: manifest }));
  await kubectl(file, "apply", "-f", path);

  const created = JSON.parse(await kubectl(file, "get", "pod", "app", "-n", team, "-o", "json")) as Pod;
  const registries = await readDockerConfig(file, team);
  say();
  printTable([
    ["", "as applied", "as admitted"],
    ...created.spec.containers.map(({ name, image }, index) => [
      `image of ${name}`,
      [privateImage, publicImage][index] ?? "",
      image,
    ]),
    ["imagePullSecrets", "none", created.spec.imagePullSecrets.map(({ name }) => name).join(", ")],
    ["logins in the Secret", "none", [...registries.keys()].filter((key) => !key.slice(1).includes("/")).join(", ")],
    ["admission took", "", await admissionTime(file)],
  ]);

  say("\nWhat kubelet would do with the Secret of each namespace:");
  const own = await tryPull(as(loginOf(registries, host)), team);
  const others = await tryPull(as(loginOf(await readDockerConfig(file, neighbour), host)), neighbour);

  const admitted = created.spec.containers.map(({ image }) => image);
  promise("a private image keeps its name", admitted[0] === privateImage);
  promise("a mirrored image comes from the local registry", admitted[1] === `${host}/${publicImage}`);
  promise(
    "the pod names the pull Secret",
    created.spec.imagePullSecrets.some(({ name }) => name === "slipway-pull"),
  );
  promise(`${team} pulls its private image`, own === "pulled");
  promise(`${neighbour} does not`, others === "refused");
}

function promise(what: string, isKept: boolean): void {
  if (!isKept) broken.push(what);
}

type Pod = {
  readonly spec: {
    readonly containers: readonly { readonly name: string; readonly image: string }[];
    readonly imagePullSecrets: readonly { readonly name: string }[];
  };
};

function namespace(name: string) {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels: { "slipway.dev/inject": "enabled" } } };
}

function pod(namespaceName: string, images: readonly string[]) {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "app", namespace: namespaceName },
    spec: { containers: images.map((image, index) => ({ name: `c${index + 1}`, image })) },
  };
}

/** An image without a program: one empty layer and its configuration. */
async function push(client: RegistryClient, repository: string): Promise<void> {
  const layer = blobOf(Buffer.alloc(1_024));
  const config = blobOf(
    Buffer.from(
      JSON.stringify({
        architecture: process.arch === "arm64" ? "arm64" : "amd64",
        os: "linux",
        config: {},
        rootfs: { type: "layers", diff_ids: [layer.digest] },
      }),
    ),
  );
  const descriptor = (blob: Blob, mediaType: string) => ({ mediaType, digest: blob.digest, size: blob.size });
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      config: descriptor(config, "application/vnd.oci.image.config.v1+json"),
      layers: [descriptor(layer, "application/vnd.oci.image.layer.v1.tar")],
    }),
  );
  const image = {
    names: [],
    root: { mediaType, bytes, digest: digestOf(bytes) },
    children: [],
    blobs: [config, layer],
    notes: [],
  };
  const progress = { begin() {}, sent() {}, done() {} };
  await pushImage({ client, progress, signal: stop.signal }, image, { repository, tag: "1.0" });
}

function blobOf(bytes: Buffer): Blob {
  return {
    digest: digestOf(bytes),
    size: bytes.length,
    open: (start: number, end: number) => Readable.from([bytes.subarray(start, end)]),
  };
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

async function readDockerConfig(
  file: DevEnvironment["file"],
  name: string,
): Promise<ReadonlyMap<string, { username: string; password: string }>> {
  const secret = JSON.parse(await kubectl(file, "get", "secret", "slipway-pull", "-n", name, "-o", "json")) as {
    readonly data: Readonly<Record<string, string>>;
  };
  const text = Buffer.from(secret.data[".dockerconfigjson"] ?? "", "base64").toString("utf8");
  const { auths } = JSON.parse(text) as { readonly auths: Readonly<Record<string, { readonly auth: string }>> };
  return new Map(
    Object.entries(auths).map(([key, { auth }]) => {
      const [username = "", ...password] = Buffer.from(auth, "base64").toString("utf8").split(":");
      return [key, { username, password: password.join(":") }] as const;
    }),
  );
}

function loginOf(registries: Awaited<ReturnType<typeof readDockerConfig>>, host: string) {
  const login = registries.get(host);
  if (login === undefined) throw new Error(`the pull Secret has no login for ${host}`);
  return login;
}

/** Manifest, configuration and layer of the private image, as the runtime fetches them. */
async function tryPull(client: RegistryClient, name: string): Promise<"pulled" | "refused"> {
  const repository = `${team}/app`;
  try {
    const manifest = await client.getManifest(repository, "1.0", stop.signal);
    const { config, layers } = JSON.parse(manifest?.bytes.toString("utf8") ?? "null") as {
      readonly config: { readonly digest: string };
      readonly layers: readonly { readonly digest: string }[];
    };
    for (const { digest } of [config, ...layers]) {
      const body = await client.getBlob(repository, digest, stop.signal);
      for await (const chunk of body ?? []) void chunk;
    }
    say(`  ${name}: ${repository}:1.0  200, manifest and ${1 + layers.length} blobs read`);
    return "pulled";
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    say(`  ${name}: ${repository}:1.0  refused (${error.status})`);
    return "refused";
  }
}

/** The API server's own metric: mean over the pods that this demo created. */
async function admissionTime(file: DevEnvironment["file"]): Promise<string> {
  const metrics = await kubectl(file, "get", "--raw", "/metrics");
  const value = (suffix: string) => {
    const lines = metrics.split("\n").filter((line) => {
      const isOurs = line.startsWith(`apiserver_admission_webhook_admission_duration_seconds_${suffix}{`);
      return isOurs && line.includes('name="pods.slipway.dev"') && line.includes('operation="CREATE"');
    });
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  };
  return `${((value("sum") / value("count")) * 1_000).toFixed(1)} ms each, by the API server's metric (${value("count")} calls)`;
}

function kubectl({ kubeconfig }: DevEnvironment["file"], ...args: readonly string[]): Promise<string> {
  const child = spawn(programs.kubectl, ["--kubeconfig", kubeconfig, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => void chunks.push(chunk));
    child.once("error", reject).once("close", (code) => {
      if (code === 0) resolve(Buffer.concat(chunks).toString("utf8"));
      else reject(new Error(`kubectl ${args[0]} ended with ${code}`));
    });
  });
}

function printTable(rows: readonly (readonly string[])[]): void {
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows) {
    say(
      `  ${row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd()}`,
    );
  }
}
