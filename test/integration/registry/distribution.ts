import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { systemClock } from "../../../src/clock.ts";
import { type Distribution, startDistribution } from "../../../src/dev/distribution.ts";
import { findRegistryProgram } from "../../../src/dev/programs.ts";
import type { Blob, Manifest } from "../../../src/registry/blob.ts";
import { createRegistryClient, type RegistryClient } from "../../../src/registry/client.ts";
import { createTcpConnect } from "../../../src/registry/connection.ts";
import { mediaTypes } from "../../../src/registry/media-type.ts";

/** A bare CNCF Distribution on loopback, without authentication. */
export type BareRegistry = Distribution & { readonly folder: string; remove(): Promise<void> };

export async function startBareRegistry(): Promise<BareRegistry> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-registry-"));
  const configFile = join(folder, "config.yml");
  const config = {
    version: 0.1,
    log: { level: "warn", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, "data") }, delete: { enabled: true } },
    http: { addr: "127.0.0.1:0", secret: "a" },
  };
  await writeFile(configFile, JSON.stringify(config));
  const program = await findRegistryProgram({ env: process.env, announce: () => undefined });
  const distribution = await startDistribution({ program, configFile });
  return {
    ...distribution,
    folder,
    async remove() {
      await distribution.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export function clientOf(url: string, address?: string): RegistryClient {
  return createRegistryClient({
    origin: url,
    ...(address === undefined ? {} : { connect: createTcpConnect(address) }),
    ca: () => undefined,
    login: () => undefined,
    clock: systemClock,
    random: Math.random,
  });
}

export function blobOf(bytes: Buffer): Blob {
  return {
    digest: digestOf(bytes),
    size: bytes.length,
    open: (start, end) => Readable.from(slices(bytes.subarray(start, end))),
  };
}

function* slices(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Pushes an image of one random layer. @returns its manifest */
export async function pushSmallImage(client: RegistryClient, repository: string, tag: string): Promise<Manifest> {
  const signal = AbortSignal.timeout(600_000);
  const config = Buffer.from(JSON.stringify({ architecture: "amd64", os: "linux", config: {} }));
  const layer = randomBytes(512);
  for (const bytes of [config, layer]) await client.uploadBlob(repository, blobOf(bytes), { signal });
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: mediaTypes.ociConfig, digest: digestOf(config), size: config.length },
      layers: [{ mediaType: mediaTypes.ociLayer, digest: digestOf(layer), size: layer.length }],
    }),
  );
  const manifest = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
  await client.putManifest(repository, tag, manifest, signal);
  return manifest;
}
